"""The front door: the `pq` command and the local supervisor."""
