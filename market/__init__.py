"""The words of the trade: symbol, interval, session calendar, tick, quote, mark, bar. Frozen types, no I/O."""
