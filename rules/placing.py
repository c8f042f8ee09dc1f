"""What a sentence must say of a device whose door nobody registered. Pure."""


def unplaced(installed: bool, gateway: str) -> str:
    """The end of its sentence: the alert lies in its gateway's area, and that is where somebody must look."""
    return "" if installed else f"; it is installed nowhere that we know: look where its gateway {gateway} is"
