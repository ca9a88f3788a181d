"""The core of everything that moves history: plain functions that `pq` calls and flows wrap; nothing of Prefect."""
