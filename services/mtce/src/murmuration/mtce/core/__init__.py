"""What mtce decides, as pure functions: attendance of pulses and the machine of a host."""
