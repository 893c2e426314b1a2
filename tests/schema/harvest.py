"""What somebody can reach through the API: the ids of everything, by type, and the newest rows of each list."""

from contextlib import aclosing
from dataclasses import dataclass
from typing import Any

from sqlalchemy import select

from auth.principal import Principal
from datasources.database.events import BEGINNING
from datasources.database.tables.gateway import events
from tests.schema.in_process import InProcess
from tests.schema.operations import Operation, Samples
from tests.schema.samples import samples
from tests.schema.ways import NODE, NODES, Step, Ways


@dataclass(frozen=True)
class Harvest:
    """The ids that somebody can reach, by the name of their type."""

    who: Principal
    ids: dict[str, list[str]]
    samples: Samples

    @property
    def all(self) -> set[str]:
        """Every id."""
        return {identity for of_type in self.ids.values() for identity in of_type}


def _collect(value: Any, found: dict[str, dict[str, None]]) -> None:
    if isinstance(value, list):
        for each in value:
            _collect(each, found)
    elif isinstance(value, dict):
        if "id" in value:
            found.setdefault(value["__typename"], {})[value["id"]] = None
        for each in value.values():
            _collect(each, found)


_MAKES = """mutation {
  createApiKey(input: {name: "a program", scopes: ["orders:read"]}) { apiKey { id } }
  inviteMember(input: {email: "nobody.yet@example.com", role: VIEWER}) { invitation { id } }
}"""
"""What demo data has none of."""


async def harvest(inside: InProcess, who: Principal) -> Harvest:
    """Walks the roots: 250 rows of each list, more behind a few of them, and the event log from its beginning."""
    ways = Ways(inside.composition.graphql)
    await inside.data(_MAKES, as_=who)
    found: dict[str, dict[str, None]] = {}
    for name in ways.object("Query").fields:
        step = Step("Query", name)
        if step in (NODE, NODES) or not ways.targets(step) or "id" in ways.field(step).args:
            continue
        for first, depth in ((250, 0), (6, 2)):
            operation = Operation(ways, samples({}), first=first)
            body = _ids_below(operation, step, depth)
            _collect(await inside.data(operation.text(f"{{ {body} }}"), operation.variables, as_=who), found)
    for stream in ("orderChanged", "securityEvent"):
        query = f"subscription ($after: String) {{ {stream}(after: $after) {{ __typename id }} }}"
        marker = await _newest_event(inside, who, f"{stream[0].upper()}{stream[1:]}")
        async with aclosing(inside.stream(query, {"after": inside.cursor(who, BEGINNING)}, as_=who)) as events_of:
            async for event in events_of:
                _collect(event["data"], found)
                if event["data"][stream]["id"] == marker:
                    break
    ids = {kind: list(of_kind) for kind, of_kind in found.items()}
    slug = await inside.data("{ prompts(first: 1) { nodes { slug } } }")
    return Harvest(who, ids, samples(ids, slug=slug["prompts"]["nodes"][0]["slug"]))


def _ids_below(operation: Operation, step: Step, depth: int) -> str:
    """The ids of what a field leads to, to a depth; connections count for nothing."""
    ways, parts = operation.ways, ["__typename"]
    for target in ways.targets(step):
        inner = ["id"] if "id" in ways.object(target).fields else []
        for below in ways.composites(target):
            if ways.is_connection(target):
                if below.field == "nodes":
                    inner.append(_ids_below(operation, below, depth))
            elif depth:
                inner.append(f"{target}_{below.field}: {_ids_below(operation, below, depth - 1)}")
        if inner:
            parts.append(f"... on {target} {{ {' '.join(inner)} }}")
    return f"{operation.called(step)} {{ {' '.join(parts)} }}"


async def _newest_event(inside: InProcess, who: Principal, kind: str) -> str:
    newest = (
        select(events.c.id)
        .where(events.c.organization_id == who.organization_id, events.c.type == kind)
        .order_by(events.c.tx.desc(), events.c.position.desc())
        .limit(1)
    )
    async with inside.database.writer.connect() as connection:
        return str((await connection.execute(newest)).scalar_one())
