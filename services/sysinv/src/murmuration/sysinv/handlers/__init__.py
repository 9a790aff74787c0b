"""What sysinv does with each family of messages."""
