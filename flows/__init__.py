"""Prefect flows and their schedules: thin wraps of `history`."""
