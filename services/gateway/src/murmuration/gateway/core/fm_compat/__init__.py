"""The words of StarlingX's fault management API (fm 1.0), pure: its items, its filters."""
