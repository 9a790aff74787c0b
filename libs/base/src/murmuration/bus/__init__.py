"""Everything that travels: connection, outbox relay, readers with a position, state, requests."""
