"""What happens to orders and what it costs: indicators, orders, fills, positions, the ledger; a file an assumption."""
