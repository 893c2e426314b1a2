"""Live rooms: what their events add to use."""

from schema.platform import SUPPLIES_USAGE, EnumValue, Platform

PLATFORM = Platform(
    key="livestream",
    name="Live rooms",
    areas=(SUPPLIES_USAGE,),
    enum_values={"UsageMetric": (EnumValue("ROOM_EVENTS", "Events of live rooms."),)},
)
