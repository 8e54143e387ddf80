"""What the console answers when it does not do what was asked. `BadInput` is the other one (400)."""


class Refused(Exception):
    """The state of the alarm forbids it; the message tells a dispatcher why (409).

    Attributes:
        reason: One word for the audit trail, which must not hold the names that a message may hold.
    """

    def __init__(self, message: str, reason: str = "state") -> None:
        super().__init__(message)
        self.reason = reason


class Forbidden(Exception):
    """The account's role does not allow it (403)."""


class NotFound(Exception):
    """No such alarm or home (404)."""


class Unreachable(Exception):
    """The database does not answer: nothing is known about the outcome (503)."""


class SignInRefused(Exception):
    """The token or the account is not accepted (401)."""
