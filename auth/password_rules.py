"""Which passwords may be chosen, after NIST SP 800-63B-4 (2025), 3.1.1.2.

A password that is all there is to prove who somebody is has at least 15 characters (``PASSWORD_MIN_LENGTH``, which a
gateway may lower to 8, what the standard asks for beside a second factor). It has at most 256, of all Unicode, and each
of them counts. No mix of kinds is asked for and nothing expires. Refused is what an attacker tries first: what a
password of this person for this service is likely to be, what a keyboard or a row of letters makes, and what was in the
breaches that are known.
"""

import re
from collections.abc import Sequence
from itertools import pairwise

from auth.breached import Breaches
from auth.passwords import MAX_PASSWORD_LENGTH, normal

LEAST_MIN_LENGTH = 8
SERVICE_WORDS = ("tributary", "password")

_ROWS = ("abcdefghijklmnopqrstuvwxyz", "1234567890", "qwertyuiop", "qwertzuiop", "azertyuiop", "asdfghjkl", "zxcvbnm")
_LEAST_SURPRISES = 5
"""Characters that do not follow from the one before; what has fewer is a walk over the keyboard."""
_LEAST_OF_THEIR_OWN = 6
"""Characters that must be left when the words that belong to the person are taken out."""
_LEAST_WORD = 4
_BETWEEN_WORDS = re.compile(r"[\W_]+")


def _neighbours() -> frozenset[tuple[str, str]]:
    found = set()
    for row in _ROWS:
        for one, other in zip(row, row[1:] + row[0], strict=True):
            found |= {(one, other), (other, one)}
    return frozenset(found)


_NEIGHBOURS = _neighbours()


class PasswordRules:
    """Says what is wrong with a password that somebody wants to have."""

    def __init__(self, breaches: Breaches | None = None, *, min_length: int = 15) -> None:
        self._breaches = breaches
        self._min_length = min_length

    async def fault(self, password: str, *about: str | None) -> str | None:
        """What is wrong with a password, and what to do; ``None`` when it may be chosen.

        ``about``: what is known of the person and where they are: address, name, organization. May ask a service
        elsewhere, so it is not to be called in a transaction.
        """
        normalised = normal(password[: MAX_PASSWORD_LENGTH + 1])
        return self._own_fault(normalised, [each for each in about if each]) or await self._known_fault(normalised)

    def _own_fault(self, password: str, about: Sequence[str]) -> str | None:
        if len(password) < self._min_length:
            return f"Choose a password of at least {self._min_length} characters; several words do well."
        if len(password) > MAX_PASSWORD_LENGTH:
            return f"Choose a password of at most {MAX_PASSWORD_LENGTH} characters."
        if "\0" in password:
            return "A password cannot contain the character U+0000."
        if is_predictable(password):
            return "That password is a pattern that is tried first. Choose one that nobody expects."
        if is_about(password, about):
            return "That password says little but who and where you are. Choose one that nobody expects."
        return None

    async def _known_fault(self, password: str) -> str | None:
        if self._breaches is None or not await self._breaches.contain(password):
            return None
        return "That password is known from a breach of another service. Choose one that you use nowhere else."


def is_predictable(password: str) -> bool:
    """Whether a password is one short piece over and over, or a walk along rows of letters, digits or keys."""
    text = password.casefold()
    repeats = any(text[period:] == text[:-period] for period in range(1, min(len(text), LEAST_MIN_LENGTH + 1)))
    steps = pairwise(text)
    surprises = 1 + sum(1 for step in steps if step[0] != step[1] and step not in _NEIGHBOURS)
    return repeats or surprises < _LEAST_SURPRISES


def is_about(password: str, about: Sequence[str]) -> bool:
    """Whether hardly anything is left of a password without what is known of its person and the service."""
    left = text = _BETWEEN_WORDS.sub("", password.casefold())
    words = {*SERVICE_WORDS}
    for each in about:
        parts = _BETWEEN_WORDS.split(each.casefold())
        words |= {"".join(parts), *parts, _BETWEEN_WORDS.sub("", each.casefold().partition("@")[0])}
    for word in sorted((word for word in words if len(word) >= _LEAST_WORD), key=len, reverse=True):
        left = left.replace(word, "")
    return left != text and len(left) < _LEAST_OF_THEIR_OWN
