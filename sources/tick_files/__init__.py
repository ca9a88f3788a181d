"""Files of recorded ticks: our own form, dumps of venues, captured frames. `opening.open_ticks` is the door."""
