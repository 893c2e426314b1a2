"""Cursors of events: each place has one in each organization, and nobody makes one up."""

from base64 import urlsafe_b64decode, urlsafe_b64encode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from datasources.database.events import BEGINNING, EventPosition
from subscriptions.cursors import Cursors

CURSORS = Cursors(bytes(range(32)))
PLACES = st.builds(EventPosition, st.integers(0, 2**63 - 1), st.integers(0, 2**63 - 1))
GENUINE = CURSORS.encode("org_a", EventPosition(7, 9))


@given(PLACES, PLACES)
def test_a_cursor_is_a_place_of_one_organization(place: EventPosition, other: EventPosition) -> None:
    cursor = CURSORS.encode("org_a", place)
    assert CURSORS.decode("org_a", cursor) == place
    assert CURSORS.decode("org_b", cursor) is None
    assert (CURSORS.encode("org_a", other) == cursor) == (place == other)


def test_a_cursor_tells_nothing_of_where_it_is() -> None:
    """Neighbours have nothing in common, and none of the numbers is in it."""
    cursors = [urlsafe_b64decode(CURSORS.encode("org_a", EventPosition(0, number)) + "=") for number in range(200)]
    assert {len(cursor) for cursor in cursors} == {32}
    assert len({cursor[:4] for cursor in cursors}) == 200
    assert len({cursor[-4:] for cursor in cursors}) == 200


@given(st.binary(min_size=32, max_size=32))
def test_nobody_makes_one_up(content: bytes) -> None:
    assert CURSORS.decode("org_a", urlsafe_b64encode(content).rstrip(b"=").decode()) is None


@pytest.mark.parametrize("place", range(43))
def test_one_that_was_altered_anywhere_is_none(place: int) -> None:
    for character in "AQgw-_9":
        altered = GENUINE[:place] + character + GENUINE[place + 1 :]
        assert (CURSORS.decode("org_a", altered) is None) == (altered != GENUINE)


@pytest.mark.parametrize(
    "text", ["", "e", GENUINE + "=", GENUINE[:-1], GENUINE + "A", "é" * 43, "\0" * 43, " " + GENUINE]
)
def test_what_is_no_cursor_is_none(text: str) -> None:
    assert CURSORS.decode("org_a", text) is None


def test_another_key_has_other_cursors() -> None:
    other = Cursors(bytes(32))
    assert other.decode("org_a", GENUINE) is None
    assert other.encode("org_a", BEGINNING) != CURSORS.encode("org_a", BEGINNING)
