"""mtce's own database."""
