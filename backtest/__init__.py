"""Runs, sweeps, metrics and reports: plain functions over strategies and trading."""
