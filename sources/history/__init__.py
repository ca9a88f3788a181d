"""Providers of history: one file each, all behind the port in `provider`."""
