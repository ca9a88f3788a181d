"""The commands of `pq`: one file a family, imported when one of it is called."""
