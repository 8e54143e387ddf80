"""What the console answers when it does not do what was asked. `BadInput` is the fourth (400)."""


class Refused(Exception):
    """The state of the alarm forbids it; the message tells a dispatcher why (409)."""


class NotFound(Exception):
    """No such alarm (404)."""


class Unreachable(Exception):
    """The database does not answer: nothing is known about the outcome (503)."""


class SignInRefused(Exception):
    """The token or the account is not accepted (401)."""
