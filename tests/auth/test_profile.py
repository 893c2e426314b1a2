"""What people change about themselves: all of it or nothing, and a password that ends the other sessions."""

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from datasources.database.engine import Database
from gateway.demo import PASSWORD
from tests.auth.newcomers import Newcomer, change_user, letters_to, newcomer, newest_token, user_row
from tests.auth.visitor import GOOD, NO, Visitor, trail
from tests.serving import ADA, GRACE, Running

pytestmark = pytest.mark.anyio

BETTER = "nine owls argue about tea"
WHOLE = """user { id email name bio company website avatarUrl skills interests preferences }
  userErrors { code message field }"""
FULL = {
    "name": "Ada B.",
    "bio": "Runs\nthe collective.",
    "company": "Lakeside 👩‍🔬",
    "website": "https://example.com/ada",
    "avatarUrl": "https://example.com/ada.png",
    "skills": ["strategy", "budgets"],
    "interests": ["sailing"],
    "preferences": {"theme": "dark", "columns": [1, 2.5, None, True]},
}


@pytest.fixture
def ada(gateway: Running) -> Newcomer:
    """Somebody with an account, signed in."""
    return newcomer(gateway)


def update(person: Newcomer, **values: object) -> dict[str, Any]:
    """The payload of ``updateProfile``."""
    return person.act("updateProfile", WHOLE, **values)


def errors(payload: dict[str, Any]) -> list[tuple[str, list[str] | None]]:
    """The codes and places of the user errors."""
    assert payload["user"] is None
    return [(error["code"], error["field"]) for error in payload["userErrors"]]


async def test_what_is_given_changes_and_what_is_absent_stays(database: Database, ada: Newcomer) -> None:
    payload = update(ada, **FULL)
    assert payload == {"user": {"id": ada.id, "email": ada.email, **FULL}, "userErrors": []}
    assert update(ada, bio="Short.")["user"] == {"id": ada.id, "email": ada.email, **FULL, "bio": "Short."}
    cleared = update(ada, **dict.fromkeys(FULL))["user"]
    assert cleared == {
        **dict.fromkeys(FULL),
        "id": ada.id,
        "email": ada.email,
        "skills": [],
        "interests": [],
        "preferences": {},
    }
    assert update(ada)["user"] == cleared
    seen = ada.visitor.ask("{ viewer { name preferences } }")["data"]["viewer"]
    assert seen == {"name": None, "preferences": {}}
    entries = [entry for entry in await trail(database, "account.profile_changed") if entry["target_id"] == ada.id]
    assert [entry["details"]["fields"] for entry in entries][1:2] == [["bio"]]
    assert {entry["organization_id"] for entry in entries} == {ada.organization_id}
    assert "Short." not in str(entries)


async def test_a_change_is_of_oneself_alone(gateway: Running, database: Database, ada: Newcomer) -> None:
    other = newcomer(gateway)
    before = await user_row(database, other.id)
    update(ada, **FULL)
    assert await user_row(database, other.id) == before
    assert (
        Visitor(gateway).ask('mutation { updateProfile(input: {name: "x"}) { userErrors { code } } }')["errors"][0][
            "extensions"
        ]["code"]
        == "UNAUTHENTICATED"
    )


def test_texts_are_tidied(ada: Newcomer) -> None:
    user = update(ada, name="  Ada  ", bio=" \n ", skills=[" a ", "b", "a", ""])["user"]
    assert (user["name"], user["bio"], user["skills"]) == ("Ada", None, ["a", "b"])


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("name", "x" * 121),
        ("name", "two\nlines"),
        ("name", "a\u0000b"),
        ("bio", "x" * 2_001),
        ("bio", "a\u0000b"),
        ("company", "x" * 201),
        ("website", "https://example.com/" + "x" * 2_000),
        ("avatarUrl", "https://example.com/" + "x" * 2_000),
        ("skills", ["x"] * 51),
        ("skills", ["x" * 61]),
        ("skills", ["a\u0000b"]),
        ("interests", ["two\nlines"]),
        ("preferences", {"text": "x" * (16 << 10)}),
        ("preferences", {"text": "a\u0000b"}),
        ("preferences", {"a\u0000b": 1}),
        ("preferences", ["a list"]),
        ("preferences", "a text"),
    ],
)
async def test_what_cannot_be_changes_nothing(database: Database, ada: Newcomer, field: str, value: object) -> None:
    before = await user_row(database, ada.id)
    payload = update(ada, **{"company": "would be fine", "bio": "so would this", field: value})
    assert errors(payload) == [("INVALID", [field])]
    assert await user_row(database, ada.id) == before


def test_all_that_is_wrong_is_told_at_once(ada: Newcomer) -> None:
    deep: dict[str, object] = {}
    for _ in range(50):
        deep = {"d": deep}
    payload = update(ada, name="x" * 500, preferences=deep, password={"current": GOOD, "new": "short"})
    assert errors(payload) == [("INVALID", ["name"]), ("INVALID", ["preferences"]), ("INVALID", ["password", "new"])]


@pytest.mark.parametrize("number", ["1180591620717411303424", "1e400"])
def test_a_number_that_json_cannot_carry_is_refused(ada: Newcomer, number: str) -> None:
    query = f"mutation {{ updateProfile(input: {{preferences: {{n: {number}}}}}) {{ userErrors {{ field }} }} }}"
    assert ada.visitor.ask(query)["data"]["updateProfile"] == {"userErrors": [{"field": ["preferences"]}]}


def test_a_link_that_would_run_a_script_is_no_url(ada: Newcomer) -> None:
    answer = ada.ask("updateProfile", avatarUrl="javascript:alert(1)")
    assert answer["errors"][0]["extensions"]["code"] == "BAD_REQUEST"


async def test_a_new_password_ends_the_other_sessions_and_not_this_one(
    gateway: Running, database: Database, ada: Newcomer
) -> None:
    other_device = ada.elsewhere()
    graces = Visitor(gateway, "192.0.2.201")
    graces.signed_in("login", email=GRACE, password=PASSWORD)
    ada.visitor.at("192.0.2.77").ask(
        "mutation ($e: EmailAddress!) { requestPasswordReset(input: {email: $e}) { userErrors { code } } }",
        {"e": ada.email},
    )
    old_link = await newest_token(gateway, database, ada.email)

    payload = update(ada, name="Ada B.", password={"current": GOOD, "new": BETTER})
    assert payload["userErrors"] == []
    assert payload["user"]["name"] == "Ada B."
    assert ada.visitor.whoami() == ada.email
    assert other_device.whoami() is None
    assert graces.whoami() == GRACE
    assert ada.visitor.run("login", email=ada.email, password=GOOD) == NO
    assert ada.visitor.run("login", email=ada.email, password=BETTER)["userErrors"] == []
    # A link from before is not a way back in.
    assert ada.visitor.run("resetPassword", token=old_link, password=GOOD)["session"] is None
    assert len(await letters_to(gateway, database, ada.email, "password_changed")) == 1
    changed = [entry for entry in await trail(database, "account.password_changed") if entry["target_id"] == ada.id]
    assert [(entry["risk"], entry["organization_id"]) for entry in changed] == [("MEDIUM", ada.organization_id)]


async def test_the_wrong_password_changes_nothing_and_is_slowed_down(database: Database, ada: Newcomer) -> None:
    other_device = ada.elsewhere()
    before = await user_row(database, ada.id)
    wrong = {"current": "seven llamas sit at dawn", "new": BETTER}
    first = update(ada, name="Eve", password=wrong)
    assert errors(first) == [("INVALID", ["password", "current"])]
    answers = [errors(update(ada, password=wrong)) for _ in range(11)]
    assert answers[-1] == [("RATE_LIMITED", None)]
    # Now the right one is no better: whether it is right is not said.
    assert errors(update(ada, password={"current": GOOD, "new": BETTER})) == [("RATE_LIMITED", None)]
    assert await user_row(database, ada.id) == before
    assert other_device.whoami() == ada.email
    refused = [entry for entry in await trail(database, "account.password_refused") if entry["target_id"] == ada.id]
    assert refused
    assert refused[0]["risk"] == "MEDIUM"
    # What a borrowed session tries does not keep the person from signing in.
    assert ada.visitor.run("login", email=ada.email, password=GOOD)["userErrors"] == []


@pytest.mark.parametrize("new", [GOOD, "tributary tributary", "qwertyuiopasdfghjkl", "\uff53even llamas knit at dawn"])
async def test_a_password_that_may_not_be_is_refused(database: Database, ada: Newcomer, new: str) -> None:
    before = await user_row(database, ada.id)
    assert errors(update(ada, password={"current": GOOD, "new": new})) == [("INVALID", ["password", "new"])]
    assert await user_row(database, ada.id) == before


async def test_who_has_no_password_is_told_how_to_get_one(database: Database, ada: Newcomer) -> None:
    await change_user(database, ada.id, password_hash=None)
    payload = update(ada, password={"current": "", "new": BETTER})
    assert errors(payload) == [("REQUIRED", ["password", "current"])]
    assert "requestPasswordReset" in payload["userErrors"][0]["message"]
    assert (await user_row(database, ada.id))["password_hash"] is None


def test_of_two_changes_at_once_one_wins(ada: Newcomer) -> None:
    wanted = [f"{number} owls argue about some tea" for number in range(4)]
    with ThreadPoolExecutor(len(wanted)) as pool:
        payloads = list(pool.map(lambda new: update(ada, password={"current": GOOD, "new": new}), wanted))
    won = [new for new, payload in zip(wanted, payloads, strict=True) if not payload["userErrors"]]
    fits = [new for new in wanted if ada.visitor.run("login", email=ada.email, password=new)["session"] is not None]
    assert len(won) == 1
    assert fits == won


def test_an_api_key_is_no_person(gateway: Running) -> None:
    make = """mutation { createApiKey(input: {name: "test", scopes: ["orders:read"]}) { secret } }"""
    secret = gateway.data(make, as_=ADA)["createApiKey"]["secret"]
    key = Visitor(gateway, token=secret)
    for mutation in ('updateProfile(input: {name: "x"})', 'deleteAccount(input: {password: "x"})'):
        answer = key.ask(f"mutation {{ {mutation} {{ userErrors {{ code }} }} }}")
        assert answer["errors"][0]["extensions"]["code"] == "FORBIDDEN"
        assert "about a person" in answer["errors"][0]["message"]
