"""What the agent decides and derives, without touching the host: pure functions and tables."""
