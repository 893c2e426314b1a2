"""API keys: made once, worth what they say, ended at once, and noted when they are used."""

import asyncio
import json
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from hashlib import sha256

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import update
from websockets.asyncio.client import connect
from websockets.typing import Subprotocol

from auth import api_keys as limits
from auth.key_format import PREFIX_LENGTH, _checksum, is_well_formed, new_secret
from auth.key_uses import KeyUses
from auth.principal import MemberRole, Principal
from auth.refusal import Refusal
from auth.scopes import KNOWN_SCOPES
from datasources.database.api_keys import note_uses
from datasources.database.engine import Database
from datasources.database.tables.access import api_keys
from datasources.database.tables.gateway import memberships, users
from tests.orders.desk import http_client
from tests.organizations.company import Company, Member, closed, rows, said, socket_of, until
from tests.serving import Running

pytestmark = pytest.mark.anyio
REFUSED = {
    "errors": [
        {
            "message": "The access token is not valid, or no longer. Sign in again.",
            "extensions": {"code": "UNAUTHENTICATED", "retryable": False},
        }
    ]
}


def in_days(days: float) -> str:
    """A moment so many days from now, as clients write it."""
    return (datetime.now(UTC) + timedelta(days=days)).isoformat()


async def answered(gateway: Running, headers: dict[str, str]) -> tuple[int, object]:
    """Status and body of the answer to a question that needs no rights, with these headers."""
    async with http_client() as client:
        answer = await client.post(gateway.graphql, json={"query": "{ __typename }"}, headers=headers)
        return answer.status_code, answer.json()


async def test_a_key_is_shown_once_and_kept_as_a_digest(acme: Company, database: Database) -> None:
    owner = await acme.member("OWNER")
    made = owner.do("createApiKey", name="  reports ", scopes=["orders:read", "businesses:read", "orders:read"])
    key, secret = made["apiKey"], made["secret"]
    assert (key["name"], key["scopes"]) == ("reports", ["businesses:read", "orders:read"])
    assert key["createdBy"] == {"id": owner.id}
    assert (key["lastUsedAt"], key["revokedAt"]) == (None, None)
    assert secret.startswith(key["prefix"])
    assert len(key["prefix"]) == PREFIX_LENGTH
    lasts = datetime.fromisoformat(key["expiresAt"]) - datetime.fromisoformat(key["createdAt"])
    assert lasts == limits.DEFAULT_LIFETIME
    (row,) = await rows(database, api_keys, api_keys.c.id == key["id"])
    assert bytes(row["digest"]) == sha256(secret.encode()).digest()
    assert secret[PREFIX_LENGTH:] not in str(row)
    listed = owner.sees("{ organization { apiKeys { id prefix name } } }")
    assert secret[PREFIX_LENGTH:] not in str(listed)
    (entry,) = await acme.audited("key.created")
    assert (entry["actor"], entry["target_id"], entry["risk"]) == (owner.id, key["id"], "MEDIUM")
    assert secret[PREFIX_LENGTH:] not in str(entry)


async def test_a_key_is_sent_in_either_header_and_over_sockets(acme: Company, gateway: Running) -> None:
    owner = await acme.member("OWNER")
    secret = acme.program(owner, "orders:read").headers["x_api_key"]
    expected = {"data": {"viewer": None, "organization": {"id": acme.id}}}
    for headers in (
        {"x_api_key": secret},
        {"authorization": f"Bearer {secret}"},
        {"authorization": f"bearer {secret}"},
    ):
        answer = Member(gateway, headers=headers).sees()
        assert answer["data"] == expected["data"]
        assert answer["errors"][0]["message"].startswith("An API key cannot do this")
    for payload in ({"x-api-key": secret}, {"authorization": f"Bearer {secret}"}):
        async with socket_of(Member(gateway), **payload) as socket:
            assert (await said(socket))["data"] == expected["data"]


async def test_a_key_does_what_its_scopes_say_in_its_organization_and_nothing_else(
    acme: Company, other: Company, database: Database
) -> None:
    owner, stranger = await acme.member("OWNER"), await other.member("OWNER")
    program = acme.program(owner, "businesses:read")
    query = "{ businesses { totalCount } orders { totalCount } }"
    answer = program.sees(query)
    assert answer["data"] == {"businesses": {"totalCount": 0}, "orders": None}
    assert answer["errors"][0]["extensions"] == {
        "code": "FORBIDDEN",
        "retryable": False,
        "requiredScopes": [["orders:read"]],
    }
    foreign = program.acting_for(other.id).sees()
    made_up = program.acting_for("org_" + "0" * 26).sees()
    assert foreign == made_up
    assert "data" not in foreign
    assert foreign["errors"][0]["extensions"]["code"] == "FORBIDDEN"
    assert program.acting_for(acme.id).sees()["data"]["organization"] == {"id": acme.id}
    # Keys are not for who lacks keys:admin, nor for others.
    for nosy in (program, await acme.member("MEMBER")):
        assert nosy.sees("{ organization { apiKeys { id } } }")["data"] == {"organization": {"apiKeys": None}}
        assert nosy.denied("revokeApiKey", id=program.id) == "FORBIDDEN"
    assert stranger.refused("revokeApiKey", id=program.id)[:2] == ("NOT_FOUND", ["id"])
    assert stranger.sees(f'{{ node(id: "{program.id}") {{ id }} }}')["data"] == {"node": None}
    assert stranger.sees("{ organization { apiKeys { id } } }")["data"] == {"organization": {"apiKeys": []}}
    assert owner.refused("revokeApiKey", id="key_" + "0" * 26)[:2] == ("NOT_FOUND", ["id"])
    assert await acme.revoked() == set()


async def test_no_key_is_worth_more_than_who_makes_it(acme: Company, database: Database) -> None:
    owner, member = await acme.member("OWNER"), await acme.member("MEMBER")
    program = acme.program(owner, "keys:admin", "orders:read")
    before = len(await rows(database, api_keys))
    assert member.denied("createApiKey", name="mine", scopes=["orders:read"]) == "FORBIDDEN"
    assert program.denied("createApiKey", name="mine", scopes=["orders:read"]) == "FORBIDDEN"
    assert Member(acme.gateway).denied("createApiKey", name="mine", scopes=["orders:read"]) == "UNAUTHENTICATED"
    code, place, message = owner.refused("createApiKey", name="x", scopes=["orders:read", "everything", "\0é"])
    assert (code, place) == ("INVALID", ["scopes"])
    assert "everything" in message
    assert owner.refused("createApiKey", name="x", scopes=[])[:2] == ("REQUIRED", ["scopes"])
    for name in ("", "  ", "x" * 101, "a\0b", "a\nb"):
        assert owner.refused("createApiKey", name=name, scopes=["orders:read"])[:2] == ("INVALID", ["name"])
    for moment in (in_days(-1), in_days(0), in_days(367), in_days(10_000)):
        refusal = owner.refused("createApiKey", name="x", scopes=["orders:read"], expiresAt=moment)
        assert refusal[:2] == ("INVALID", ["expiresAt"])
    assert len(await rows(database, api_keys)) == before
    assert owner.do("createApiKey", name="all", scopes=sorted(KNOWN_SCOPES), expiresAt=in_days(365))["secret"]


async def test_a_narrowed_token_makes_no_wider_key(acme: Company, database: Database) -> None:
    """A token of an outside issuer can have less than its person's role."""
    owner = await acme.member("OWNER")
    narrow = Principal(
        user_id=owner.id, organization_id=acme.id, role=MemberRole.OWNER, scopes=frozenset({"keys:admin"})
    )
    keys = limits.ApiKeys()
    with pytest.raises(Refusal, match="You lack orders:read yourself") as refused:
        await keys.create(database.scoped(acme.id), narrow, limits.WantedKey("x", ["keys:admin", "orders:read"]))
    assert refused.value.field == ("scopes",)
    assert await rows(database, api_keys, api_keys.c.organization_id == acme.id) == []


async def test_an_organization_has_room_for_so_many_keys_that_hold(
    acme: Company, other: Company, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "MOST_KEYS", 3)
    owner, stranger = await acme.member("OWNER"), await other.member("OWNER")
    answers = await asyncio.gather(
        *(asyncio.to_thread(owner.answer, "createApiKey", name=f"k{n}", scopes=["orders:read"]) for n in range(6))
    )
    errors = [error["code"] for each in answers for error in each["data"]["createApiKey"]["userErrors"]]
    assert errors == ["QUOTA_EXCEEDED"] * 3
    held = [row["id"] for row in await rows(database, api_keys, api_keys.c.organization_id == acme.id)]
    assert len(held) == 3
    # One that is revoked, or has ended, takes no room.
    owner.do("revokeApiKey", id=held[0])
    await end(database, held[1])
    owner.do("createApiKey", name="a", scopes=["orders:read"])
    owner.do("createApiKey", name="b", scopes=["orders:read"])
    assert owner.refused("createApiKey", name="c", scopes=["orders:read"])[0] == "QUOTA_EXCEEDED"
    assert stranger.do("createApiKey", name="c", scopes=["orders:read"])["secret"]
    listed = owner.sees("{ organization { apiKeys { id } } }")["data"]["organization"]["apiKeys"]
    assert {key["id"] for key in listed[:3]}.isdisjoint(held[:2])
    assert {key["id"] for key in listed[3:]} == set(held[:2])


async def end(database: Database, key_id: str) -> None:
    """Lets a key have ended."""
    async with database.writer.connect() as connection, connection.begin():
        past = datetime.now(UTC) - timedelta(seconds=1)
        await connection.execute(update(api_keys).where(api_keys.c.id == key_id).values(expires_at=past))


async def test_a_key_that_is_revoked_is_over_at_once_also_where_it_is_open(acme: Company) -> None:
    owner = await acme.member("OWNER")
    program, neighbour = acme.program(owner, "orders:read"), acme.program(owner, "orders:read")
    async with socket_of(program) as socket, socket_of(neighbour) as beside:
        assert (await said(socket))["data"]["organization"] == {"id": acme.id}
        first = owner.do("revokeApiKey", id=program.id)["apiKey"]
        assert first["revokedAt"] is not None
        assert program.sees() == REFUSED
        assert (await closed(socket))[0] == 4403
        assert (await said(beside))["data"]["organization"] == {"id": acme.id}
    again = owner.do("revokeApiKey", id=program.id)["apiKey"]
    assert again | {"lastUsedAt": None} == first | {"lastUsedAt": None}  # which is written a moment after the use
    assert len(await acme.audited("key.revoked")) == 1


async def test_a_key_ends_by_itself_also_on_a_socket(acme: Company, database: Database) -> None:
    owner = await acme.member("OWNER")
    soon = (datetime.now(UTC) + timedelta(seconds=1.5)).isoformat()
    program = acme.program(owner, "orders:read", expiresAt=soon)
    async with socket_of(program) as socket:
        assert (await said(socket))["data"]["organization"] == {"id": acme.id}
        assert (await closed(socket))[0] == 4403
    assert program.sees() == REFUSED


async def test_a_key_of_somebody_who_is_gone_says_so(acme: Company, other: Company, database: Database) -> None:
    """``createdBy`` is null for who is no member of this organization, wherever else they may be."""
    owner = await acme.member("OWNER")
    program = acme.program(owner, "keys:admin")
    async with database.writer.connect() as connection, connection.begin():
        await connection.execute(memberships.delete().where(memberships.c.user_id == owner.id))
    await other.joined(owner, "OWNER")
    query = "{ organization { apiKeys { id createdBy { id } } } }"
    assert program.sees(query)["data"] == {"organization": {"apiKeys": [{"id": program.id, "createdBy": None}]}}


async def test_what_is_no_key_is_refused_and_never_says_why(
    acme: Company, gateway: Running, database: Database
) -> None:
    owner = await acme.member("OWNER")
    secret = acme.program(owner, "orders:read").headers["x_api_key"]
    guessed = new_secret()
    same_prefix = secret[: PREFIX_LENGTH + 1] + guessed[PREFIX_LENGTH + 1 : -6]
    same_prefix += _checksum(same_prefix)
    assert is_well_formed(same_prefix)
    wrong = [
        guessed,
        same_prefix,
        secret[:-1],
        secret + "0",
        secret.swapcase(),
        "trb_" + secret[4:][::-1],
        "trb_",
        "trb",
        "",
        "x" * 10_000,
        secret.replace("_", "-"),
        f"{secret} {secret}",
        "trb_' OR 1=1 --",
    ]
    for text in wrong:
        assert (await answered(gateway, {"x-api-key": text})) == (401, REFUSED), text
        if text.startswith("trb_"):
            assert (await answered(gateway, {"authorization": f"Bearer {text}"})) == (401, REFUSED), text
    async with connect(gateway.socket, subprotocols=[Subprotocol("graphql-transport-ws")], proxy=None) as socket:
        await socket.send(json.dumps({"type": "connection_init", "payload": {"x-api-key": guessed}}))
        assert await closed(socket) == (4403, "Forbidden")


async def test_a_typing_mistake_asks_the_database_nothing(acme: Company, gateway: Running) -> None:
    owner = await acme.member("OWNER")
    secret = acme.program(owner, "orders:read").headers["x_api_key"]
    broken = secret[:20] + ("A" if secret[20] != "A" else "B") + secret[21:]
    with gateway.statements() as asked:
        assert acme.holder(broken).sees() == REFUSED
    assert asked == []
    with gateway.statements() as asked:
        assert acme.holder(new_secret()).sees() == REFUSED
    assert len([sql for sql in asked if "api_keys" in sql and "prefix" in sql]) == 1


@given(st.integers(0, 65), st.sampled_from("0aZ_-é\0 "))
def test_one_wrong_character_shows(place: int, character: str) -> None:
    secret = new_secret()
    assert is_well_formed(secret)
    broken = secret[:place] + character + secret[place + 1 :]
    assert is_well_formed(broken) is (broken == secret)
    assert not is_well_formed(secret[:place] + secret[place + 1 :])


async def test_the_last_use_is_written_but_not_with_each_request(
    acme: Company, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    owner = await acme.member("OWNER")
    program = acme.program(owner, "keys:admin")
    query = "{ organization { apiKeys { lastUsedAt } } }"
    written: list[str] = []  # together with keys that others have used a moment ago

    async def write(served: Database, ids: Sequence[str], at: datetime, *, pause: timedelta) -> None:
        written.extend(ids)
        await note_uses(served, ids, at, pause=pause)

    monkeypatch.setattr("auth.key_uses.note_uses", write)
    for _ in range(20):
        program.sees(query)
    await until(lambda: bool(owner.sees(query)["data"]["organization"]["apiKeys"][0]["lastUsedAt"]))
    for _ in range(20):
        program.sees(query)
    assert written.count(program.id) == 1


async def test_uses_are_gathered_and_what_is_left_is_written_at_the_end(acme: Company, database: Database) -> None:
    owner = await acme.member("OWNER")
    ids = [acme.program(owner, "orders:read").id for _ in range(3)]
    now = 0.0
    written: list[str] = []
    database.observers.append(written.append)
    uses = KeyUses(database, clock=lambda: now)
    async with uses:
        for _ in range(5):
            for key_id in ids:
                uses.used(key_id)
    assert sum(sql.startswith("UPDATE") for sql in written) == 1

    async def last_used() -> set[datetime]:
        return {row["last_used_at"] for row in await rows(database, api_keys, api_keys.c.organization_id == acme.id)}

    first = await last_used()
    assert None not in first
    # Another process, or this one a moment later: it is known already, to the minute.
    async with KeyUses(database) as again:
        again.used(ids[0])
    assert await last_used() == first
    later = datetime.now(UTC) + timedelta(minutes=2)
    await note_uses(database, ids, later, pause=timedelta(minutes=1))
    assert await last_used() == {later}


async def test_a_key_in_constant_use_is_written_once_a_minute(acme: Company, database: Database) -> None:
    owner = await acme.member("OWNER")
    key_id = acme.program(owner, "orders:read").id
    clock = [0.0]
    written: list[str] = []
    database.observers.append(lambda sql: written.append(sql) if sql.startswith("UPDATE") else None)
    uses = KeyUses(database, clock=lambda: clock[0])
    for moment, updates in ((0.0, 1), (30.0, 1), (59.0, 1), (61.0, 2), (100.0, 2), (122.0, 3)):
        clock[0] = moment
        uses.used(key_id)
        await uses._write()
        assert len(written) == updates, moment


async def test_a_database_that_is_gone_fails_nobody(
    acme: Company, database: Database, caplog: pytest.LogCaptureFixture
) -> None:
    gone = Database("postgresql://nobody@127.0.0.1:1/nothing", pool_size=1)
    async with KeyUses(gone) as uses:
        uses.used("key_x")
    assert "could not be written" in caplog.text
    await gone.close()


async def test_making_and_revoking_leave_no_trace_of_a_stranger(
    acme: Company, other: Company, database: Database
) -> None:
    """What one company does with its keys changes nothing of another's."""
    owner, stranger = await acme.member("OWNER"), await other.member("OWNER")
    theirs = other.program(stranger, "orders:read")
    before = await rows(database, api_keys, api_keys.c.organization_id == other.id)
    mine = acme.program(owner, "orders:read")
    owner.do("revokeApiKey", id=mine.id)
    assert await rows(database, api_keys, api_keys.c.organization_id == other.id) == before
    assert theirs.sees()["data"]["organization"] == {"id": other.id}
    assert (await rows(database, users, users.c.id == owner.id))[0]["id"] == owner.id
