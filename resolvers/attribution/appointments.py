"""Appointments: bookings at a business."""

from datetime import datetime

import strawberry

from datasources.database.businesses import locations_by_id
from schema.business import Location
from schema.order import Order
from schema.relations import relation


@strawberry.type(description="A booking at the business, from its booking platform or recorded by hand.")
class Appointment(Order):
    """``Appointment``."""

    starts_at: datetime = strawberry.field(description="When it begins.")
    service: str | None = strawberry.field(description="What was booked.")
    location: Location | None = relation(locations_by_id, key="location_id", description="Where it is.")
