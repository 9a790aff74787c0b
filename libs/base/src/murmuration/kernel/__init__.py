"""What pure code may lean on: errors, clocks as a port, machines as tables. No I/O here."""
