"""Decisions about hosts, without I/O."""
