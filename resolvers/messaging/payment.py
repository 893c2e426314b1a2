"""The payment of a service order: a proof is sent, a person looks at it, the order is paid or rejected."""

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Annotated, Any, Protocol

import strawberry

from datasources.database.engine import Transaction
from datasources.database.messaging import SERVICE_ORDERS
from datasources.database.service_orders import (
    MoveNotAllowed,
    OrderNotFound,
    Proof,
    move_service_order,
    submit_proof,
)
from datasources.files import FileRefused, FileTooLarge
from resolvers.messaging.media import content_type_of
from schema.context import Context, Info
from schema.directives import scopes
from schema.errors import NotFound
from schema.order import Order
from schema.payloads import UserError, UserErrorCode, user_error
from schema.scalars import Upload

WRITE_ORDERS = scopes("orders:write")
MAX_PROOF_BYTES = 10 << 20
MAX_NOTE = 2_000


class SentFile(Protocol):
    """What the transport makes of an ``Upload``."""

    def stream(self) -> AsyncIterator[bytes]:
        """Its content, piece by piece."""


@strawberry.input(description="A file.")
class MediaInput:
    """``MediaInput``."""

    upload: Upload = strawberry.field(
        description="A file of the multipart request: an image or a PDF of at most 10 MB."
    )


@strawberry.input(description="A proof of payment for an order.")
class SubmitPaymentProofInput:
    """``SubmitPaymentProofInput``."""

    order_id: strawberry.ID = strawberry.field(description="A service order that is PENDING or REJECTED.")
    proof: MediaInput = strawberry.field(description="The proof.")


@strawberry.input(description="What a person found of a proof of payment.")
class ReviewPaymentInput:
    """``ReviewPaymentInput``."""

    order_id: strawberry.ID = strawberry.field(description="A service order that is PAYMENT_SUBMITTED.")
    accepted: bool = strawberry.field(description="True: the order is PAID. False: it is REJECTED.")
    note: str | None = strawberry.field(default=None, description="Why; kept in the order's history.")


@strawberry.input(description="An order that is done.")
class CompleteOrderInput:
    """``CompleteOrderInput``."""

    order_id: strawberry.ID = strawberry.field(description="A service order that is PAID.")
    note: str | None = strawberry.field(default=None, description="Kept in the order's history.")


@strawberry.input(description="An order that is called off.")
class CancelOrderInput:
    """``CancelOrderInput``."""

    order_id: strawberry.ID = strawberry.field(description="A service order that is not paid yet.")
    note: str | None = strawberry.field(default=None, description="Why; kept in the order's history.")


@strawberry.type(description="An order after a change, or why it did not change.")
class OrderPayload:
    """``OrderPayload``."""

    order: Order | None = strawberry.field(description="As it stands now.")
    user_errors: list[UserError] = strawberry.field(description="What has to be mended.")


async def _changed(context: Context, order_id: str, change: Callable[[Transaction], Awaitable[None]]) -> OrderPayload:
    """Runs a change in a transaction of its own and answers with the order as it then stands."""
    errors = []
    try:
        async with context.scope.transaction() as transaction:
            await change(transaction)
    except OrderNotFound:
        message = "There is no service order with this id that you may see."
        raise NotFound(message) from None
    except MoveNotAllowed as refused:
        message = f"The order is {refused.status}; from there it cannot become {refused.wanted}."
        if refused.status == refused.wanted:
            message = f"The order is {refused.status} already."
        errors.append(user_error(UserErrorCode.NOT_ALLOWED_IN_STATE, message, "orderId"))
    order: Any = (await SERVICE_ORDERS.by_ids(context.scope, [order_id])).get(order_id)
    return OrderPayload(order=order, user_errors=errors)


async def _moved(context: Context, order_id: str, wanted: str, note: str | None) -> OrderPayload:
    if note is not None and (len(note) > MAX_NOTE or "\0" in note):
        message = f"A note has at most {MAX_NOTE} characters, none of them U+0000."
        return OrderPayload(order=None, user_errors=[user_error(UserErrorCode.INVALID, message, "note")])
    actor = context.principal.actor
    return await _changed(
        context, order_id, lambda transaction: move_service_order(transaction, order_id, wanted, actor=actor, note=note)
    )


@strawberry.type(description="Mutations about the payment of service orders.")
class PaymentMutations:
    """Fields of ``Mutation``."""

    @strawberry.mutation(description="Sends a proof of payment for a service order.", directives=[WRITE_ORDERS])
    @staticmethod
    async def submit_payment_proof(
        info: Info, input: Annotated[SubmitPaymentProofInput, strawberry.argument(description="The proof.")]
    ) -> OrderPayload | None:
        """``submitPaymentProof``: the file is stored before the transaction, which alone makes it count."""
        context, order_id = info.context, input.order_id
        file: Any = input.proof.upload
        sent: SentFile = file
        try:
            stored = await context.services.files.save(
                sent.stream(), max_bytes=MAX_PROOF_BYTES, content_type_of=content_type_of
            )
        except FileTooLarge:
            message = f"The file has more than {MAX_PROOF_BYTES >> 20} MB. Send a smaller one."
            error = user_error(UserErrorCode.INVALID, message, "proof", "upload")
            return OrderPayload(order=None, user_errors=[error])
        except FileRefused:
            message = "That is neither an image (PNG, JPEG, GIF, WebP) nor a PDF."
            error = user_error(UserErrorCode.INVALID, message, "proof", "upload")
            return OrderPayload(order=None, user_errors=[error])
        kind = "IMAGE" if stored.content_type.startswith("image/") else "DOCUMENT"
        proof = Proof(kind, stored.content_type, stored.size, stored.sha256)
        actor = context.principal.actor
        return await _changed(
            context, order_id, lambda transaction: submit_proof(transaction, order_id, proof, actor=actor)
        )

    @strawberry.mutation(
        description="Accepts or rejects the proof of payment of a service order.", directives=[WRITE_ORDERS]
    )
    @staticmethod
    async def review_payment(
        info: Info, input: Annotated[ReviewPaymentInput, strawberry.argument(description="What was found.")]
    ) -> OrderPayload | None:
        """``reviewPayment``."""
        return await _moved(info.context, input.order_id, "PAID" if input.accepted else "REJECTED", input.note)

    @strawberry.mutation(description="Closes a service order that is paid and done.", directives=[WRITE_ORDERS])
    @staticmethod
    async def complete_order(
        info: Info, input: Annotated[CompleteOrderInput, strawberry.argument(description="Which order.")]
    ) -> OrderPayload | None:
        """``completeOrder``."""
        return await _moved(info.context, input.order_id, "COMPLETED", input.note)

    @strawberry.mutation(description="Calls off a service order that is not paid yet.", directives=[WRITE_ORDERS])
    @staticmethod
    async def cancel_order(
        info: Info, input: Annotated[CancelOrderInput, strawberry.argument(description="Which order.")]
    ) -> OrderPayload | None:
        """``cancelOrder``."""
        return await _moved(info.context, input.order_id, "CANCELLED", input.note)
