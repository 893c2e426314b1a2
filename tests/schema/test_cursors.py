"""Cursors come back as they went out, and whatever else is sent is refused."""

import base64
import json
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from datasources.paging import Position
from schema.cursors import Place, decode, encode
from schema.errors import BadRequest

LONGEST = 2000
ORDERS = ["NAME+", "PRICE-", "CREATED_AT+"]
MOMENTS = st.datetimes(timezones=st.just(UTC))
VALUES = (
    st.none()
    | MOMENTS
    | st.text()
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
)
POSITIONS = st.builds(Position, VALUES, st.text(max_size=40))
PLACES = st.builds(
    Place, st.none() | POSITIONS, st.dictionaries(st.text(max_size=12), st.none() | POSITIONS, max_size=3)
)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=3) | st.just("t"), inner, max_size=3),
    max_leaves=8,
)


def pack(value: object) -> str:
    return base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=").decode()


@given(place=PLACES, order=st.text(max_size=20))
def test_a_place_comes_back_as_it_was(place: Place, order: str) -> None:
    cursor = encode(order, place)
    if len(cursor) <= LONGEST:
        found = decode(cursor, order, "after")
        assert found == place
        assert encode(order, found) == cursor


@given(place=PLACES)
def test_a_cursor_can_stand_in_an_address(place: Place) -> None:
    assert set(encode("NAME+", place)) <= set("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_")


@given(place=PLACES.filter(lambda place: len(encode("PRICE+", place)) <= LONGEST), order=st.sampled_from(ORDERS))
def test_a_cursor_of_another_order_is_told_so(place: Place, order: str) -> None:
    with pytest.raises(BadRequest, match="`before` is a cursor of a list in another order"):
        decode(encode("PRICE+", place), order, "before")


def test_a_cursor_beyond_all_measure_is_refused() -> None:
    place = Place(Position("x" * LONGEST, "bus_1"))
    with pytest.raises(BadRequest):
        decode(encode("NAME+", place), "NAME+", "after")


@given(
    cursor=st.text()
    | JSON.map(pack)
    | st.binary().map(lambda raw: base64.urlsafe_b64encode(raw).decode())
    | st.builds(lambda position, apart: pack(["NAME+", position, apart]), JSON, JSON)
    | st.builds(
        lambda value, identity: pack(["NAME+", [value, identity]]), JSON | st.fixed_dictionaries({"t": JSON}), JSON
    )
)
def test_whatever_is_sent_is_a_place_or_a_bad_request(cursor: str) -> None:
    try:
        place = decode(cursor, "NAME+", "after")
    except BadRequest:
        with pytest.raises(BadRequest, match=r"^`after` is "):
            decode(cursor, "NAME+", "after")
    else:
        for position in (place.position, *place.apart.values()):
            assert position is None or isinstance(position.id, str)
            assert position is None or isinstance(position.value, datetime | str | int | float | None)
            assert position is None or not isinstance(position.value, bool)


@pytest.mark.parametrize("deep", [100, 1000])
def test_what_nests_deeply_is_refused(deep: int) -> None:
    raw = b'["NAME+",' + b"[" * deep + b"]" * deep + b"]"
    with pytest.raises(BadRequest):
        decode(base64.urlsafe_b64encode(raw).decode(), "NAME+", "after")
