"""What fm does with each family of messages."""
