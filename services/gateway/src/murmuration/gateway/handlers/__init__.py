"""What is done with events, digests and answers as they come in."""
