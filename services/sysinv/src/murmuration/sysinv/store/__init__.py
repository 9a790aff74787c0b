"""sysinv's tables."""
