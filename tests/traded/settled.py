"""Imported by the process that others are forked from: what each of them would have to load is loaded once."""

from dataflows.paper.running import settle_in

settle_in()
