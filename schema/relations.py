"""Relations are declared: the field names the key and the function that reads many keys at once.

The declaration stands in the field's metadata, so that an executor can serve a whole level with one call.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import strawberry

from datasources.database.engine import Scope
from datasources.paging import Load
from schema.context import Info


@dataclass(frozen=True)
class Relation:
    """From the attribute ``key`` of a row to the row (or the list of rows) that ``load`` finds for it."""

    load: Load | str
    key: str
    many: bool


def relation(
    load: Load | str, *, key: str, description: str, many: bool = False, directives: tuple[object, ...] = ()
) -> Any:
    """Declares a field that reaches another row, or with ``many`` a short list of rows.

    ``load`` is ``async (scope, keys) -> Mapping[key, row]``, or an area, whose rows are found by id. Null (or an empty
    list) where the key is null or nothing is found; the type of the field is the annotation's.
    """
    declared = Relation(_listed(load) if many and not isinstance(load, str) else load, key, many)

    def resolve(root: Any, info: Info) -> Any:
        value = getattr(root, key)
        if value is None:
            return () if many else None
        return info.context.loader(declared.load).load(value)

    resolve.__annotations__ = {"root": Any, "info": Info}
    return strawberry.field(
        resolver=resolve,
        metadata={"relation": declared, "resolve": resolve},
        description=description,
        directives=directives,
    )


def _listed(load: Load) -> Load:
    async def listed(scope: Scope, keys: Sequence[Any]) -> Mapping[Any, Any]:
        found = await load(scope, keys)
        return {key: found.get(key, ()) for key in keys}

    return listed
