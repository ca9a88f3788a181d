"""What happens to orders and what it costs: indicators, orders, fills, positions, the ledger. One file an assumption."""
