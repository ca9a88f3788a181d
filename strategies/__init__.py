"""Decisions: one file a strategy; no I/O, no clock."""
