"""The one error of this room."""


class CannotStart(Exception):
    """A server could not be started; the text says why and what to do, and holds no secret."""
