"""What mtce does with what it is told: sysinv's events and its own monitor's verdicts."""
