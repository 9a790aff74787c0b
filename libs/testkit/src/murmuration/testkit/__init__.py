"""What tests stand on: real NATS and PostgreSQL servers of their own, and waiting for a level."""
