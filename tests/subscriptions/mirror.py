"""A platform for tests: a field that depends on who asks, and a stream that opens with figures and sends them again."""

from collections.abc import Sequence

import strawberry

from schema.context import Context, Info, as_graphql
from schema.directives import scopes
from schema.order import READ_ORDERS, OrderChanged
from schema.platform import EnumValue, Platform
from schema.roots import Subscription
from schema.streams import event_stream
from subscriptions.interest import Interest

EVERY = 0.05


class Counted:
    """How often figures were asked for; they change when a test says so."""

    def __init__(self) -> None:
        self.asked = 0
        self.value = 0


@strawberry.type(description="What depends on who asks.")
class Mirrored:
    """Fields of ``OrderChanged``."""

    @strawberry.field(description="Who asks.")  # type: ignore[untyped-decorator]
    @staticmethod
    def you(info: Info) -> str | None:
        """The id of the person, or of the key."""
        principal = info.context.principal
        return principal.user_id or principal.key_id


@strawberry.type(description="Figures.", directives=[READ_ORDERS])
class Figures:
    """``Figures``."""

    value: int = strawberry.field(description="A figure.")
    yours: str | None = strawberry.field(description="Who asks, where the test wants that.")


def mirror(counted: Counted, *, personal: bool = False) -> Platform:
    """The platform; ``personal``: whether its figures are of the person who asks."""

    async def opening(context: Context) -> Sequence[object]:
        counted.asked += 1
        yours = context.principal.user_id if personal else None
        return [as_graphql(Figures(value=counted.value, yours=yours))]

    def select(_context: Context) -> Interest:
        return Interest(frozenset({"OrderChanged"}))

    @strawberry.type(description="Streams of figures.")
    class MirrorSubscriptions:
        figures = event_stream(
            Figures,
            select,
            description="Figures, at first and whenever they change.",
            directives=[scopes("orders:read")],
            resumable=False,
            opening=opening,
            every=EVERY,
        )

    return Platform(
        "mirror",
        "Mirror",
        areas=[EnumValue("MIRRORS", "What tests look into.")],
        fields={OrderChanged: [Mirrored], Subscription: [MirrorSubscriptions]},
    )
