"""``connectShop``: tells whose the webhooks of a store are."""

from typing import Annotated

import strawberry

from datasources.database.audit import NewAuditEntry, append_audit
from datasources.database.businesses import BUSINESSES
from schema.context import Info
from schema.directives import scopes
from schema.payloads import UserError, UserErrorCode, user_error
from tributary_shop.stores import StoreTaken, connect_store

MAX_NAME = 100


@strawberry.input(description="A store and whose it is.")
class ConnectShopInput:
    """``ConnectShopInput``."""

    business_id: strawberry.ID = strawberry.field(description="The business that the store sells for.")
    store: str = strawberry.field(description="The store, as the shop names it in its webhooks.")


@strawberry.type(description="The store that was connected, or why it was not.")
class ConnectShopPayload:
    """``ConnectShopPayload``.

    It has no field of type ``Business``, which belongs to another platform and may be off.
    """

    store: str | None = strawberry.field(description="The store.")
    user_errors: list[UserError] = strawberry.field(description="What has to be mended.")


def _refused(code: UserErrorCode, message: str, field: str) -> ConnectShopPayload:
    return ConnectShopPayload(store=None, user_errors=[user_error(code, message, field)])


@strawberry.type(description="Mutations of the shop.")
class ShopMutations:
    """Fields of ``Mutation``."""

    @strawberry.mutation(
        description="Connects a store to a business: from now on the store's orders are its orders.",
        directives=[scopes("platforms:admin")],
    )
    @staticmethod
    async def connect_shop(
        info: Info, input: Annotated[ConnectShopInput, strawberry.argument(description="The store.")]
    ) -> ConnectShopPayload | None:
        """``connectShop``."""
        context, store = info.context, input.store.strip()
        if not 1 <= len(store) <= MAX_NAME:
            return _refused(UserErrorCode.INVALID, f"A store's name has 1 to {MAX_NAME} characters.", "store")
        business = (await BUSINESSES.by_ids(context.scope, [input.business_id])).get(input.business_id)
        if business is None:
            return _refused(UserErrorCode.NOT_FOUND, "There is no such business that you may see.", "businessId")
        try:
            async with context.scope.transaction() as transaction:
                if await connect_store(transaction, store, business.id):
                    entry = NewAuditEntry(
                        context.principal.actor, "shop.connected", business.id, "MEDIUM", {"store": store}
                    )
                    await append_audit(transaction, entry)
        except StoreTaken:
            return _refused(UserErrorCode.TAKEN, "Another business has connected this store.", "store")
        return ConnectShopPayload(store=store, user_errors=[])
