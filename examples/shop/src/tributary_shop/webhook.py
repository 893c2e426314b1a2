"""``POST /webhooks/shop``: what happened in a store, signed by the shop and written once."""

import time
from collections.abc import Sequence
from decimal import Decimal
from typing import Annotated, Any

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, ValidationError
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route

from datasources.database.engine import Transaction
from schema.errors import BadRequest
from schema.money import minor_units
from schema.platform import Services
from tributary_shop.orders import NewOrder, customer_with, place_order
from tributary_shop.products import save_product
from tributary_shop.settings import settings_of
from tributary_shop.signatures import HEADER, holds
from tributary_shop.stores import StoreRow, is_new, store_of_any_organization

MAX_BYTES = 64 << 10

Text = Annotated[str, Field(min_length=1, max_length=200)]
Amount = Annotated[Decimal, Field(ge=0, max_digits=12)]
Currency = Annotated[str, Field(pattern=r"^[A-Z]{3}$")]


class Product(BaseModel):
    """``product.saved``, and what was bought in ``order.placed``."""

    sku: Text
    name: Text
    price: Amount
    currency: Currency


class Customer(BaseModel):
    """Who bought it."""

    email: Text
    name: Text | None = None


class Order(BaseModel):
    """``order.placed``."""

    number: Text
    total: Amount
    currency: Currency
    placed_at: AwareDatetime
    product: Product
    quantity: Annotated[int, Field(ge=1, le=100_000)] = 1
    customer: Customer | None = None


class Notice(BaseModel):
    """What every webhook has: an id that stays the same when it is sent again, its store, and what happened."""

    model_config = ConfigDict(extra="ignore")

    id: Text
    store: Text
    type: Text
    data: dict[str, Any]


class Refused(Exception):
    """The webhook is not accepted; ``args`` are the HTTP status and why."""


def webhook_routes(services: Services) -> Sequence[BaseRoute]:
    """The platform's ``routes``."""

    async def receive(request: Request) -> Response:
        try:
            notice = await _signed_notice(services, request)
            return JSONResponse({"status": await _apply(services, notice)})
        except Refused as refused:
            status, reason = refused.args
            return JSONResponse({"error": reason}, status_code=status)

    return [Route("/webhooks/shop", receive, methods=["POST"])]


async def _signed_notice(services: Services, request: Request) -> Notice:
    settings = settings_of(services)
    if settings.shop_webhook_secret is None:
        raise Refused(503, "Webhooks are not set up here: SHOP_WEBHOOK_SECRET is not set.")
    body = b""
    async for chunk in request.stream():
        body += chunk
        if len(body) > MAX_BYTES:
            raise Refused(413, f"A webhook has at most {MAX_BYTES} bytes.")
    secret, tolerance = settings.shop_webhook_secret.get_secret_value(), settings.shop_webhook_tolerance
    if not holds(request.headers.get(HEADER, ""), secret, body, now=time.time(), tolerance=tolerance):
        raise Refused(403, f"The signature does not fit, or is older than {tolerance} seconds.")
    try:
        return Notice.model_validate_json(body)
    except ValidationError as error:
        raise Refused(400, _mistakes(error)) from None


def _mistakes(error: ValidationError) -> str:
    return "; ".join(f"{'.'.join(map(str, each['loc'])) or 'body'}: {each['msg']}" for each in error.errors())


async def _apply(services: Services, notice: Notice) -> str:
    """What became of it: ``accepted``, ``duplicate``, or ``ignored`` for what is new to us; raises ``Refused``."""
    kind = {"order.placed": _place, "product.saved": _save}.get(notice.type)
    if kind is None:
        return "ignored"
    store = await store_of_any_organization(services.database, notice.store)
    if store is None:
        raise Refused(404, "No business has connected this store: connectShop.")
    try:
        async with services.database.scoped(store.organization_id).transaction() as transaction:
            if not await is_new(transaction, notice.id):
                return "duplicate"
            await kind(transaction, store, notice.data)
    except ValidationError as error:
        raise Refused(400, _mistakes(error)) from None
    except BadRequest as error:
        raise Refused(400, error.message) from None
    return "accepted"


async def _save(transaction: Transaction, store: StoreRow, data: dict[str, Any]) -> None:
    await _saved(transaction, store, Product.model_validate(data))


async def _saved(transaction: Transaction, store: StoreRow, product: Product) -> str:
    price = minor_units(product.price, product.currency)
    return await save_product(
        transaction,
        store.business_id,
        sku=product.sku,
        name=product.name,
        price_minor=price,
        currency=product.currency,
    )


async def _place(transaction: Transaction, store: StoreRow, data: dict[str, Any]) -> None:
    placed = Order.model_validate(data)
    customer_id = None
    if placed.customer is not None:
        customer_id = await customer_with(
            transaction, store.business_id, email=placed.customer.email, name=placed.customer.name
        )
    order = NewOrder(
        business_id=store.business_id,
        customer_id=customer_id,
        number=placed.number,
        total_minor=minor_units(placed.total, placed.currency),
        currency=placed.currency,
        placed_at=placed.placed_at,
        product_id=await _saved(transaction, store, placed.product),
        quantity=placed.quantity,
    )
    await place_order(transaction, order)
