"""The long-lived graphs. Each module builds a flow from what it is given; nothing is built at import."""
