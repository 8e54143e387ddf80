"""The one exception that means "the input is at fault"."""


class BadInput(ValueError):
    """The input is at fault: dead-letter it whole, never retry. The message gives value and limit."""
