"""Finds strategy files, reads their parameters, and runs their decisions: compiled where Numba can, else plain."""
