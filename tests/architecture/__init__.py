"""The rules of the tree as programs: checks.py and .importlinter, and tests that each can fail."""
