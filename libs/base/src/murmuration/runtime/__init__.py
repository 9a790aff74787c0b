"""How a service runs: configuration, logs, telemetry, signals, one task group."""
