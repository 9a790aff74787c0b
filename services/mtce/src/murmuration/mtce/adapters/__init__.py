"""The outside as mtce meets it: pulses on NATS and UDP."""
