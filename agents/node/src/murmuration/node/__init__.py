"""The agent of a host: everything on it but the heartbeat."""
