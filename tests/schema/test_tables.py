"""Every table belongs to tenants, or says why not; every look over all tenants says why, and is listed here."""

import ast
import importlib
import pkgutil
from pathlib import Path

from datasources.database import tables
from datasources.database.scope import ORGANIZATION
from datasources.database.tables.metadata import metadata

CHECKOUT = Path(__file__).parents[2]
SOURCES = ("auth", "datasources", "gateway", "migrations", "resolvers", "schema", "subscriptions")

UNSCOPED_USES = {
    ("datasources/database/access.py", "who asks is looked up before it is known for which organization"),
    ("datasources/database/access.py", "a key says by itself which organization it is of"),
    ("datasources/database/access.py", "a key that is in use is looked at again"),
    ("datasources/database/access.py", "a process that starts learns which access tokens have lost their session"),
    ("datasources/database/access.py", "a session is a person's, not an organization's"),
    ("datasources/database/roster.py", "an operator looks at who has an account"),
    ("datasources/database/roster.py", "an operator changes an account, which belongs to several organizations"),
    ("datasources/database/accounts.py", "somebody sees which organizations they belong to, also beside this one"),
    ("datasources/database/account_deletion.py", "an account is deleted in all organizations of its person at once"),
    ("datasources/database/audit.py", "a person's data is erased wherever it is"),
    ("datasources/database/audit_reading.py", "heads of chains are kept elsewhere for all organizations"),
    ("datasources/database/audit_verify.py", "the audit trail of every organization is verified"),
    ("datasources/database/accounts.py", "a person signs in to one of their own organizations"),
    ("datasources/database/events.py", "the tail reads the log once for all organizations"),
    ("datasources/database/events.py", "the tail begins where the log ends"),
    ("datasources/database/events.py", "a process that starts remembers what happened last"),
    ("datasources/database/events.py", "the tail learns whether an older transaction holds events back"),
    (
        "datasources/database/event_retention.py",
        "which organizations have more events than are kept is asked of all at once",
    ),
    (
        "datasources/database/event_retention.py",
        "how far what processes tell each other is old is asked of the log of all organizations",
    ),
    (
        "datasources/database/event_retention.py",
        "what processes of the gateway told each other goes, whichever organization it named",
    ),
    (
        "datasources/database/identities.py",
        "a token of an outside issuer names a person before an organization is known",
    ),
    ("datasources/database/identities.py", "an outside issuer's name for an organization says which one it is"),
    ("datasources/database/identities.py", "an address has one account, whichever organizations that is in"),
    ("datasources/database/messaging.py", "a signed link is the permission to read one file"),
    ("auth/throttle.py", "an attempt that was not made is not counted, whoever's it was"),
    ("datasources/database/after_restore.py", "a database that was restored has the places of all organizations"),
    ("datasources/database/attempts.py", "attempts are counted before it is known who makes them"),
    ("datasources/database/attempts.py", "counters of attempts are removed when they count no more"),
    ("datasources/database/outbox.py", "mail waits in one outbox for all organizations"),
    ("datasources/database/outbox.py", "whoever sends takes the mail that is due, of any organization"),
    ("datasources/database/outbox.py", "what became of a mail is noted by who sent it"),
    ("datasources/database/outbox.py", "old mail goes, whoever it was to"),
    ("datasources/database/people.py", "sign-in knows an address before it knows an organization"),
    ("datasources/database/people.py", "an address has one account, in whichever organizations"),
    ("datasources/database/people.py", "whoever registers is in no organization yet"),
    ("datasources/database/people.py", "what is kept of people for a time only is removed after it"),
    ("datasources/database/sessions.py", "a refresh token is looked up before it is known whose it is"),
    ("datasources/database/sessions.py", "a session is a person's, whichever organization it acts for"),
    ("datasources/database/sessions.py", "sessions that are long over go, whoever's they were"),
    ("datasources/database/api_keys.py", "an operator revokes a key by its id alone"),
    (
        "datasources/database/api_keys.py",
        "when keys were last used is written for those of all organizations together",
    ),
    ("datasources/database/invitations.py", "an invitation says by itself which organization it is to"),
    (
        "datasources/database/webhooks.py",
        "whether any organization has an endpoint says whether the log was to be read",
    ),
    ("datasources/database/webhook_deliveries.py", "deliveries wait in one queue for all organizations"),
    ("datasources/database/webhook_deliveries.py", "whoever posts takes the delivery that is due, of any organization"),
    ("datasources/database/webhook_deliveries.py", "old deliveries go, whoever they were of"),
    ("datasources/database/webhook_reader.py", "the reader for webhooks asks whose events it has to read at all"),
    ("datasources/database/webhook_reader.py", "one reader makes the deliveries of webhooks for all organizations"),
    (
        "datasources/database/webhook_replays.py",
        "whoever is free goes on with replays, whichever organization they are of",
    ),
    ("datasources/database/webhook_reading.py", "an operator looks at the webhooks of all organizations"),
    ("datasources/database/webhook_reading.py", "an operator names an endpoint by its id alone"),
    ("datasources/database/sealed.py", "stored secrets of all organizations are sealed anew by an operator"),
    ("datasources/database/sealed.py", "a key is kept as long as something of any organization is sealed under it"),
    ("datasources/database/seed/__init__.py", "demo data is of several organizations"),
}
"""Every use of a handle over all organizations, with its reason. Think twice before you add one."""


def listed(exception: str) -> dict[str, str]:
    """The tables that are an exception of this name, with the reasons, over all modules of tables."""
    found: dict[str, str] = {}
    for module in pkgutil.iter_modules(tables.__path__, f"{tables.__name__}."):
        found |= getattr(importlib.import_module(module.name), exception, {})
    assert all(len(reason) > 5 for reason in found.values())
    return found


def test_a_table_without_an_organization_says_why() -> None:
    """The reasons stand beside the tables, for exactly those that need one."""
    assert set(listed("UNSCOPED")) == {table.name for table in metadata.sorted_tables if ORGANIZATION not in table.c}


def test_a_tenants_table_never_lacks_its_organization() -> None:
    """The column is filled in every row and refers to an organization, but where the table says why it need not."""
    adrift = set()
    for table in metadata.sorted_tables:
        if ORGANIZATION in table.c:
            column = table.c[ORGANIZATION]
            assert not column.nullable, table.name
            if {key.column.table.name for key in column.foreign_keys} != {"organizations"}:
                adrift.add(table.name)
    assert adrift == set(listed("NO_FOREIGN_KEY"))


def test_every_look_over_all_organizations_is_listed() -> None:
    """The reason is a plain text in the call, and the call is in the table above."""
    found = set()
    for folder in SOURCES:
        for path in sorted((CHECKOUT / folder).rglob("*.py")):
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                if isinstance(node, ast.Call) and getattr(node.func, "attr", None) == "unscoped":
                    (reason,) = node.args
                    assert isinstance(reason, ast.Constant), f"{path}:{node.lineno}"
                    found.add((path.relative_to(CHECKOUT).as_posix(), str(reason.value)))
    assert found == UNSCOPED_USES


def test_nobody_makes_such_a_handle_by_other_means() -> None:
    """``every_organization`` is set in one place, and no layer above the data sources writes SQL of its own."""
    for folder in ("auth", "gateway", "resolvers", "schema", "subscriptions"):
        for path in sorted((CHECKOUT / folder).rglob("*.py")):
            source = path.read_text(encoding="utf-8")
            assert "every_organization" not in source, path
            assert "exec_driver_sql" not in source, path
    setters = [
        path.relative_to(CHECKOUT).as_posix()
        for path in sorted((CHECKOUT / "datasources").rglob("*.py"))
        if "every_organization=True" in path.read_text(encoding="utf-8")
    ]
    assert setters == ["datasources/database/engine.py"]
