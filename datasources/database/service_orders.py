"""The way of a service order: only the allowed moves, each with its action, event and audit entry, or not at all."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, NamedTuple

from sqlalchemy import Text, bindparam, select, update

from datasources.database.audit import NewAuditEntry, append_audit
from datasources.database.columns import Id, UtcDateTime
from datasources.database.engine import Transaction
from datasources.database.events import NewEvent, append_event
from datasources.database.ids import new_id, prefix_of
from datasources.database.scope import TENANT
from datasources.database.tables.gateway import order_actions
from datasources.database.tables.messaging import media, service_orders

MOVES: Mapping[str, frozenset[str]] = {
    "PENDING": frozenset({"PAYMENT_SUBMITTED", "CANCELLED"}),
    "PAYMENT_SUBMITTED": frozenset({"PAID", "REJECTED", "CANCELLED"}),
    "REJECTED": frozenset({"PAYMENT_SUBMITTED", "CANCELLED"}),
    "PAID": frozenset({"COMPLETED"}),
}
"""From a status to those that may follow; what is not here is final."""


class OrderNotFound(Exception):
    """The tenant has no service order with this id."""


class MoveNotAllowed(Exception):
    """The order stands where this move does not begin."""

    def __init__(self, status: str, wanted: str) -> None:
        super().__init__(f"{status} to {wanted}")
        self.status = status
        self.wanted = wanted


class Proof(NamedTuple):
    """A proof of payment as it was stored."""

    kind: str
    content_type: str
    bytes: int
    sha256: str


class _Standing(NamedTuple):
    status: str
    business_id: str | None


_LOCKED = (
    select(service_orders.c.status, service_orders.c.business_id)
    .where(service_orders.c.organization_id == TENANT, service_orders.c.id == bindparam("order_id", type_=Id))
    .with_for_update()
)
_MOVE = (
    update(service_orders)
    .where(
        service_orders.c.organization_id == TENANT,
        service_orders.c.id == bindparam("order_id", type_=Id),
        service_orders.c.status == bindparam("from_status", type_=Text()),
    )
    .values(status=bindparam("to_status", type_=Text()), updated_at=bindparam("now", type_=UtcDateTime()))
)
_ATTACH = (
    update(service_orders)
    .where(service_orders.c.organization_id == TENANT, service_orders.c.id == bindparam("order_id", type_=Id))
    .values(payment_proof_id=bindparam("proof_id", type_=Id))
)


async def move_service_order(
    transaction: Transaction, order_id: str, wanted: str, *, actor: str, note: str | None = None
) -> None:
    """Moves an order and writes down that it did.

    Raises ``OrderNotFound``, and ``MoveNotAllowed`` when it stands elsewhere, also because somebody else was faster.
    """
    if prefix_of(order_id) != "sor":
        raise OrderNotFound
    standing = await transaction.fetch(_LOCKED, _Standing, {"order_id": order_id})
    if not standing:
        raise OrderNotFound
    status, business_id = standing[0]
    if wanted not in MOVES.get(status, frozenset()):
        raise MoveNotAllowed(status, wanted)
    now = datetime.now(UTC)
    values: dict[str, Any] = {"order_id": order_id, "from_status": status, "to_status": wanted, "now": now}
    if await transaction.execute(_MOVE, values) != 1:
        raise MoveNotAllowed(status, wanted)
    action = {"order_id": order_id, "at": now, "from_status": status, "to_status": wanted, "actor": actor, "note": note}
    await transaction.insert(order_actions, [action])
    change = {"from": status, "to": wanted}
    await append_event(transaction, NewEvent("messaging", "OrderChanged", order_id, business_id, change))
    await append_audit(transaction, NewAuditEntry(actor, "order.moved", order_id, "LOW", change))


async def submit_proof(transaction: Transaction, order_id: str, proof: Proof, *, actor: str) -> None:
    """Attaches a proof of payment and moves the order to PAYMENT_SUBMITTED; raises as ``move_service_order`` does."""
    await move_service_order(transaction, order_id, "PAYMENT_SUBMITTED", actor=actor)
    proof_id = new_id("med")
    await transaction.insert(media, [{**proof._asdict(), "id": proof_id, "created_at": datetime.now(UTC)}])
    await transaction.execute(_ATTACH, {"order_id": order_id, "proof_id": proof_id})
