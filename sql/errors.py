"""The two words a store may raise; the web layer maps them to 404 and 409."""


class NotFound(Exception):
    """What was asked for does not exist, or lies outside the caller's areas."""


class Conflict(Exception):
    """The request contradicts the present state; the message says which rule refused it."""
