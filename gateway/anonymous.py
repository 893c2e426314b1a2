"""How often somebody who is not signed in may ask: a bucket of tokens for each address."""

import time
from collections import OrderedDict

from auth.caller import Caller
from auth.principal import Principal

REMEMBERED = 50_000


class AnonymousLimit:
    """Each address may begin ``per_minute`` operations at once, and as many again evenly over each minute.

    An address is all of IPv4 and the site (/64) of IPv6. The buckets are this process's own; the least recently used
    are forgotten first, which fills them.
    """

    def __init__(self, per_minute: int) -> None:
        self._burst = float(per_minute)
        self._per_second = per_minute / 60
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def __call__(self, principal: Principal, caller: Caller) -> float | None:
        """``None`` lets an operation in; else the seconds until there is room for one."""
        if principal.signed_in:
            return None
        now = time.monotonic()
        left, since = self._buckets.pop(caller.place, (self._burst, now))
        left = min(self._burst, left + (now - since) * self._per_second)
        wait = None if left >= 1 else (1 - left) / self._per_second
        self._buckets[caller.place] = (left - 1 if wait is None else left, now)
        if len(self._buckets) > REMEMBERED:
            self._buckets.popitem(last=False)
        return wait
