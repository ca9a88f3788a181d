"""Where data comes from: one file a venue, tick files, the journal's reader, the simulated exchange."""
