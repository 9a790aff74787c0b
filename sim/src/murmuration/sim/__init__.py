"""The simulated world: hosts that are only modelled, on a real bus or in virtual time."""
