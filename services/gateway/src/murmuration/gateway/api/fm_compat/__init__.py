"""The StarlingX-compatible fault management API under /v1, for the `fm` client and its users."""
