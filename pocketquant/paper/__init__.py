"""Paper trading for who asks for it: what is asked of the desk, and what its runs have come to."""
