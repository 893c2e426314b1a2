"""What one operation carries: who asks, their view of the database, and the loaders that batch its reads."""

from collections.abc import Callable, Hashable, Mapping
from typing import Any, TypeAlias

import strawberry

from auth.caller import Caller
from auth.errors import PersonRequired, SignInRequired
from auth.principal import Principal
from datasources.database.engine import Scope
from datasources.paging import Load
from schema.batching import BatchLoader
from schema.composed import Composition
from schema.errors import Forbidden, Unauthenticated
from schema.platform import Services


class Context:
    """One per operation, and one per event of a subscription: its loaders must never outlive what they read.

    Whoever follows the same events with the same rights in an organization shares one execution of each, unless it has
    looked at who asks: ``depends_on_viewer`` tells, because ``principal`` and ``caller`` are seen to be read.
    """

    __slots__ = (
        "_caller",
        "_loaders",
        "_principal",
        "composition",
        "depends_on_viewer",
        "page_limit",
        "scope",
        "services",
    )

    def __init__(
        self, *, composition: Composition, services: Services, principal: Principal, caller: Caller, page_limit: int
    ) -> None:
        self.composition = composition
        self.services = services
        self._principal = principal
        self._caller = caller
        self.depends_on_viewer = False
        self.scope = self._scope()
        self.page_limit = page_limit
        self._loaders: dict[Hashable, BatchLoader[Any, Any]] = {}

    @property
    def principal(self) -> Principal:
        """Who asks."""
        self.depends_on_viewer = True
        return self._principal

    @property
    def caller(self) -> Caller:
        """The request that asks."""
        self.depends_on_viewer = True
        return self._caller

    @property
    def rights(self) -> Principal:
        """Who asks, for looking at nothing but scopes and whether anybody is signed in: all who share have the same."""
        return self._principal

    @property
    def organization_id(self) -> str:
        """The organization that the caller acts for; raises ``Unauthenticated`` when there is none."""
        if self._principal.organization_id is None:
            if self._principal.signed_in:
                message = "You act for no organization. Name one of yours in the header X-Organization-Id."
                raise Forbidden(message)
            raise Unauthenticated(str(SignInRequired(self._principal.hint)))
        return self._principal.organization_id

    @property
    def user_id(self) -> str:
        """The person who asks; raises ``SignInRequired``, and ``PersonRequired`` when it is an API key."""
        principal = self.principal
        if principal.user_id is None:
            raise PersonRequired if principal.signed_in else SignInRequired(principal.hint)
        return principal.user_id

    def denied(self, what: str, operation_name: str | None) -> None:
        """Leaves in the audit trail that the caller asked for what they have no right to."""
        self.services.denials.denied(self.scope, self.principal.actor, what, operation_name)

    def _scope(self) -> Scope:
        origin = self._caller.origin(self._principal.user_id)
        return self.services.database.scoped(self._principal.organization_id, origin)

    def become(self, principal: Principal) -> None:
        """Goes on as somebody else: what follows in an operation that signs in is read with the new rights."""
        self._principal = principal
        self.scope = self._scope()
        self._loaders.clear()

    def loader(self, load: Load | str) -> BatchLoader[Any, Any]:
        """The loader of rows by key for this operation, or by id when ``load`` names an area; made on first use."""
        if isinstance(load, str):
            load = self.composition.load_of(load)
        loader = self._loaders.get(load)
        if loader is None:

            async def batch(keys: list[Any]) -> list[Any]:
                found: Mapping[Any, Any] = await load(self.scope, keys)
                return [found.get(key) for key in keys]

            loader = self._loaders[load] = BatchLoader(batch)
        return loader

    def keyed_loader(self, key: Hashable, make: Callable[[], Callable[[list[Any]], Any]]) -> BatchLoader[Any, Any]:
        """The loader under ``key``, such as the one for the pages of one field of the document; made on first use."""
        loader = self._loaders.get(key)
        if loader is None:
            loader = self._loaders[key] = BatchLoader(make())
        return loader


def as_graphql(row: object) -> Any:
    """A row where the annotation names the GraphQL type that it stands for."""
    return row


Info: TypeAlias = strawberry.Info[Context, None]
"""The ``info`` of a resolver here."""
