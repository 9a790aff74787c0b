"""A service's own database: migrations, transactions that carry their events, and one writer."""
