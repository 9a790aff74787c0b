"""Two versions side by side: what a roll-out goes through."""
