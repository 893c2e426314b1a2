"""What somebody asks for and cannot have as it is, where they can mend it themselves."""

from typing import Literal, TypeAlias

RefusalCode: TypeAlias = Literal[
    "INVALID", "REQUIRED", "TAKEN", "NOT_FOUND", "CONFLICT", "QUOTA_EXCEEDED", "RATE_LIMITED", "NOT_ALLOWED_IN_STATE"
]
"""What kind of thing has to be mended; the names are those of ``UserErrorCode``."""


class Refusal(Exception):
    """Nothing was done; the message says to a person what to do.

    ``field`` is the path into the input, in the names of the API.
    """

    def __init__(self, code: RefusalCode, message: str, *field: str) -> None:
        super().__init__(message)
        self.code: RefusalCode = code
        self.field = field


class TryLater(Refusal):
    """Nothing is wrong with what was asked, only with when: after ``seconds`` it may be tried again."""

    def __init__(self, message: str, seconds: int) -> None:
        super().__init__("RATE_LIMITED", message)
        self.seconds = seconds
