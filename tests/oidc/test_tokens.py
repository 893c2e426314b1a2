"""Tokens of an outside issuer: through rotations of its keys, while it is down, and for whom they are limited."""

import asyncio
import time
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tests.oidc.conftest import Door, OpenDoor, refusal
from tests.oidc.forge import HOUR, Forge
from tests.oidc.issuer import API, APP, MockIssuer, new_key

pytestmark = pytest.mark.anyio

DISCOVERY, KEYS = "/.well-known/openid-configuration", "/jwks"


@pytest.mark.parametrize("key_id", ["rsa", "curve", "edwards"])
async def test_a_token_of_each_kind_of_key_holds(issuer: MockIssuer, door: Door, key_id: str) -> None:
    token = issuer.token(key_id, sub=f"auth0|{key_id}")
    proof = await door.issuers.verify(token)
    assert proof.user_id.startswith("usr_")
    assert (proof.session_id, proof.only_scopes) == (None, None)
    assert proof.expires_at is not None
    assert 0 < (proof.expires_at - datetime.now(UTC)).total_seconds() <= HOUR
    again = await door.issuers.verify(issuer.token(key_id, sub=f"auth0|{key_id}", jti="another"))
    assert (again.user_id, again.home_id) == (proof.user_id, proof.home_id)


async def test_only_issuers_that_are_configured_are_known(issuer: MockIssuer, door: Door, forge: Forge) -> None:
    assert door.issuers.knows(issuer.url)
    for other in (f"{issuer.url}/", issuer.url.upper(), "", "https://elsewhere.example.com"):
        assert not door.issuers.knows(other)
        await refusal(door, forge.sign(forge.claims(iss=other)))


async def test_an_issuer_whose_name_ends_in_a_slash_is_one_too(
    issuer: MockIssuer, open_door: OpenDoor, keys: list[dict[str, Any]]
) -> None:
    issuer.serve(keys, slash="/")
    door = open_door(issuer=issuer.url)
    assert (await door.issuers.verify(issuer.token("rsa", sub="auth0|slash"))).user_id
    await refusal(door, Forge(issuer.url.rstrip("/"), keys).sign())


async def test_a_new_key_is_found_and_the_old_one_ends_when_the_issuer_withdraws_it(
    issuer: MockIssuer, door: Door, keys: list[dict[str, Any]]
) -> None:
    before = issuer.token("rsa", sub="auth0|turn")
    person = (await door.issuers.verify(before)).user_id
    following = new_key("RS256", "rsa-2")
    issuer.serve([*keys, following])
    door.clock.now += 1
    after = issuer.token("rsa-2", sub="auth0|turn")
    found = await asyncio.gather(*(door.issuers.verify(after) for _ in range(10)))
    assert {proof.user_id for proof in found} == {person}
    assert (issuer.asked(DISCOVERY), issuer.asked(KEYS)) == (1, 1)
    assert (await door.issuers.verify(before)).user_id == person
    issuer.serve([following])
    door.clock.now += 599
    assert (await door.issuers.verify(before)).user_id == person
    door.clock.now += 2
    await refusal(door, before)
    assert (await door.issuers.verify(after)).user_id == person


async def test_a_key_that_takes_the_id_of_another_ends_its_tokens(
    issuer: MockIssuer, door: Door, keys: list[dict[str, Any]]
) -> None:
    token = issuer.token("rsa", sub="auth0|replaced")
    person = (await door.issuers.verify(token)).user_id
    issuer.serve([new_key("RS256", "rsa"), *keys[1:]])
    assert (await door.issuers.verify(token)).user_id == person
    door.clock.now += 601
    await refusal(door, token)
    assert (await door.issuers.verify(issuer.token("rsa", sub="auth0|replaced"))).user_id == person


async def test_while_the_issuer_is_down_its_last_keys_hold_for_a_day(issuer: MockIssuer, door: Door) -> None:
    first, second = (issuer.token(key_id, sub="auth0|patient") for key_id in ("rsa", "curve"))
    person = (await door.issuers.verify(first)).user_id
    issuer.stop()
    for later in (10, 601, 3_600, 82_000):
        door.clock.now += later
        assert (await door.issuers.verify(first)).user_id == person
        assert (await door.issuers.verify(second)).user_id == person
    door.clock.now += 86_400 - 10 - 601 - 3_600 - 82_000
    await refusal(door, first)
    await refusal(door, second)
    issuer.serve(issuer.keys)
    door.clock.now += 31
    assert (await door.issuers.verify(first)).user_id == person


async def test_an_issuer_that_was_never_reached_is_asked_again_after_a_while(issuer: MockIssuer, door: Door) -> None:
    token = issuer.token("rsa", sub="auth0|early")
    issuer.stop()
    await refusal(door, token)
    issuer.serve(issuer.keys)
    door.clock.now += 29
    await refusal(door, token)
    assert issuer.asked(DISCOVERY) == 0
    door.clock.now += 2
    assert (await door.issuers.verify(token)).user_id


async def test_made_up_key_ids_do_not_hammer_the_issuer(issuer: MockIssuer, door: Door, forge: Forge) -> None:
    await door.issuers.verify(issuer.token("rsa", sub="auth0|calm"))
    assert (issuer.asked(DISCOVERY), issuer.asked(KEYS)) == (1, 1)
    door.clock.now += 1
    flood = [forge.sign(header={"kid": f"made-up-{number}"}) for number in range(40)]
    for _ in range(2):
        await asyncio.gather(*(refusal(door, token) for token in flood))
    assert (issuer.asked(DISCOVERY), issuer.asked(KEYS)) == (2, 2)
    door.clock.now += 31
    await asyncio.gather(*(refusal(door, token) for token in flood))
    assert (issuer.asked(DISCOVERY), issuer.asked(KEYS)) == (3, 3)


async def test_many_first_tokens_at_once_ask_the_issuer_once(issuer: MockIssuer, door: Door) -> None:
    tokens = [issuer.token("edwards", sub="auth0|crowd", jti=str(number)) for number in range(20)]
    assert len({proof.user_id for proof in await asyncio.gather(*map(door.issuers.verify, tokens))}) == 1
    assert (issuer.asked(DISCOVERY), issuer.asked(KEYS)) == (1, 1)


async def test_who_stops_waiting_for_the_keys_does_not_stop_the_others(issuer: MockIssuer, door: Door) -> None:
    token = issuer.token("rsa", sub="auth0|staying")
    leaving, staying = (asyncio.create_task(door.issuers.verify(token)) for _ in range(2))
    await asyncio.sleep(0)
    leaving.cancel()
    assert (await staying).user_id
    with pytest.raises(asyncio.CancelledError):
        await leaving


async def test_a_token_that_was_checked_costs_no_statement_and_still_ends(issuer: MockIssuer, door: Door) -> None:
    now = int(time.time())
    token = issuer.token("rsa", sub="auth0|again", exp=now + HOUR)
    proof = await door.issuers.verify(token)
    statements: list[str] = []
    door.database.observers.append(statements.append)
    assert await door.issuers.verify(token) is proof
    assert statements == []
    ((fingerprint, known),) = door.issuers._known.items()
    for seconds, holds in ((29, True), (31, False)):
        ended = type(known.checked)(
            **{**vars(known.checked), "expires_at": datetime.now(UTC) - timedelta(seconds=seconds)}
        )
        door.issuers._known[fingerprint] = type(known)(known.settings, ended, proof)
        assert await door.issuers._holds(door.issuers._known[fingerprint]) is holds


async def test_no_more_tokens_are_remembered_than_there_is_room_for(
    issuer: MockIssuer, door: Door, forge: Forge, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("auth.oidc.REMEMBERED", 3)
    for number in range(6):
        await door.issuers.verify(forge.sign(forge.claims(sub="auth0|many", jti=str(number)), "EdDSA"))
    assert len(door.issuers._known) == 3


async def test_the_clocks_may_differ_a_little(door: Door, forge: Forge) -> None:
    now = int(time.time())
    for change in ({"iat": now + 20}, {"nbf": now + 20}, {"iat": now - HOUR, "exp": now - 20}):
        assert (await door.issuers.verify(forge.sign(forge.claims(**change)))).user_id
    for change in ({"iat": now + 90}, {"nbf": now + 90}, {"iat": now - HOUR, "exp": now - 40}):
        await refusal(door, forge.sign(forge.claims(**change)))


async def test_a_token_may_be_limited_to_scopes(issuer: MockIssuer, open_door: OpenDoor, forge: Forge) -> None:
    door = open_door(scopes_claim="permissions")
    for told, scopes in (
        (["orders:read", "usage:read"], {"orders:read", "usage:read"}),
        ("orders:read  usage:read", {"orders:read", "usage:read"}),
        (["orders:read", 7, None], {"orders:read"}),
        ({"orders:read": True}, set()),
        (7, set()),
        (..., set()),
    ):
        token = forge.sign(forge.claims(permissions=told), "EdDSA")
        assert (await door.issuers.verify(token)).only_scopes == frozenset(scopes)


async def test_tokens_without_a_key_id_hold_while_there_is_one_key_for_them(
    issuer: MockIssuer, door: Door, forge: Forge, keys: list[dict[str, Any]]
) -> None:
    nameless = forge.sign(header={"kid": ...})
    assert (await door.issuers.verify(nameless)).user_id
    issuer.serve([*keys, new_key("RS256", "rsa-3")])
    door.clock.now += 601
    await refusal(door, nameless)


async def test_an_issuer_has_only_the_algorithms_that_are_configured(
    issuer: MockIssuer, open_door: OpenDoor, forge: Forge
) -> None:
    door = open_door(algorithms=["ES256"])
    assert (await door.issuers.verify(forge.sign(algorithm="ES256"))).user_id
    door.clock.now += 1
    for algorithm in ("RS256", "EdDSA"):
        await refusal(door, forge.sign(algorithm=algorithm))
    assert issuer.asked(KEYS) == 1, "no key could have helped"


async def test_a_key_signs_with_the_algorithm_that_it_is_published_for(open_door: OpenDoor, forge: Forge) -> None:
    door = open_door(algorithms=["RS256", "PS256"])
    assert (await door.issuers.verify(forge.sign())).user_id
    await refusal(door, forge.sign(algorithm="PS256", key=forge.key("RS256")))


async def test_the_client_counts_only_where_clients_are_listed(open_door: OpenDoor, forge: Forge) -> None:
    other = forge.sign(forge.claims(azp="another-app"), "EdDSA")
    none = forge.sign(forge.claims(azp=...), "EdDSA")
    door, strict = open_door(client_ids=None), open_door(client_ids=[APP, "third-app"])
    for token in (other, none):
        assert (await door.issuers.verify(token)).user_id
        await refusal(strict, token)
    for claims in ({"azp": "third-app"}, {"azp": ..., "client_id": APP}, {"client_id": "third-app"}):
        assert (await strict.issuers.verify(forge.sign(forge.claims(**claims), "EdDSA"))).user_id
    await refusal(strict, forge.sign(forge.claims(azp=APP, client_id="another-app"), "EdDSA"))
    for client in ("azp", "client_id"):  # an ID token: it is for the client that asked for it, and for nobody else
        await refusal(door, forge.sign(forge.claims(aud=API, **{"azp": ..., client: API}), "EdDSA"))
        both = forge.claims(aud=[API, "https://other.example.com/"], **{"azp": ..., client: API})
        assert (await door.issuers.verify(forge.sign(both, "EdDSA"))).user_id


async def test_weak_and_unfit_keys_are_not_used(issuer: MockIssuer, door: Door, keys: list[dict[str, Any]]) -> None:
    issuer.serve([new_key("RS256", "weak", bits=1024), *keys[1:]])
    await refusal(door, Forge(issuer.url, issuer.keys).sign())
    assert (await door.issuers.verify(Forge(issuer.url, issuer.keys).sign(algorithm="ES256"))).user_id
