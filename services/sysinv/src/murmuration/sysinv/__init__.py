"""sysinv: hosts as declared and as discovered, and what is intended for them."""
