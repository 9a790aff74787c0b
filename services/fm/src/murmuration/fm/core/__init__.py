"""Decisions about alarms, without I/O."""
