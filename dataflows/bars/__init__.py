"""The dataflow that makes bars: journal in, bars in the store, the cache and the log out."""
