"""Host maintenance: what state every host is in, watched by its heartbeat."""
