"""Why something is not imported. What Swift did not tell is none of these: that is an error of the driver."""


class Skipped(Exception):
    """An image, a tag or a repository cannot be imported as it is. The text says why, for the operator."""


class Unusable(Skipped):
    """A layer was read, and no client could use it."""


class Stopped(Exception):
    """The command ends. What was under way is not finished."""
