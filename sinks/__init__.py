"""Where data goes: the journal, the bar store (SQLite, MongoDB), the desk's ledger, Redis. Idempotent."""
