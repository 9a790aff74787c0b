"""fm's tables."""
