"""The error that a user is meant to read."""


class DeskError(Exception):
    """Trouble whose text is one sentence for the user: the thing, the rule, the value, and what to do next."""
