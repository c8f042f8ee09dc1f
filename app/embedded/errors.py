"""The one word the embedded servers raise."""


class EmbeddedError(Exception):
    """An embedded server cannot do what was asked; the message says why, with the end of its log where that helps."""
