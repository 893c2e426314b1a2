"""Webhooks of a process: its reader, its replayer, and its sender, which posts what is due, also of other processes."""

import asyncio
import contextlib
import logging
from collections import Counter
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from random import random
from typing import Self

from datasources.database.engine import Database
from datasources.database.webhook_deliveries import (
    ClaimedDelivery,
    Delivered,
    Full,
    TriedElsewhere,
    Undelivered,
    claim,
    next_due,
    settle,
    tidy,
)
from datasources.database.webhooks import ACTIVE, secret_place
from datasources.keyring import Keyring, Unreadable
from datasources.webhooks.post import Answer, NotPosted, Poster
from datasources.webhooks.signature import signed_headers
from subscriptions.log import EventLog
from subscriptions.webhook_reader import WebhookReader
from subscriptions.webhook_replayer import WebhookReplayer

logger = logging.getLogger(__name__)

AT_ONCE = 32
"""Deliveries that a process posts at the same time."""
AT_ONCE_OF_ORGANIZATION = 8
"""Of them for one organization, so that one with many slow receivers holds up no other."""
AT_ONCE_OF_ONE = 4
"""Of them to one endpoint, so that a slow receiver holds up no other; to one that fails only one."""
PAUSES = tuple(timedelta(seconds=seconds) for seconds in (5, 30, 120, 600, 1_800, 3_600, 7_200, 14_400, 21_600))
"""How long to wait after the first, second … attempt; the last pause is repeated."""
RENDER_SECONDS = 20.0
"""How long the body of a delivery may take; with the answer of the receiver less than a lease."""
GRACE_SECONDS = 4.0
"""How long a process that stops waits for what it is posting."""
POLL_SECONDS = 5.0
TIDY_SECONDS = 600.0
_STUMBLE_SECONDS = 1.0
_HEADERS = {"content-type": "application/json", "user-agent": "Tributary-Webhooks"}
_UNREADABLE = "the key that its secret is encrypted under is gone; rotate the secret"
_GONE = "its event is not kept any more, or may not be told any more"

Render = Callable[[ClaimedDelivery], Awaitable[bytes | None]]
"""The body of a delivery; ``None`` when there is nothing to tell any more. Raises ``NoBody``."""


class NoBody(Exception):
    """The body cannot be made now, through a fault of ours or of a platform; it may be possible later."""


def _now() -> datetime:
    return datetime.now(UTC)


def pause_after(attempts: int, *, chance: Callable[[], float] = random) -> timedelta:
    """How long to wait after this many attempts, give or take a fifth.

    The chance keeps what failed together from being tried together again.
    """
    return PAUSES[min(attempts, len(PAUSES)) - 1] * (0.8 + 0.4 * chance())


def asked_to_wait(answer: Answer, now: datetime) -> timedelta:
    """What ``Retry-After`` (RFC 9110 section 10.2.3) of a 429 or 503 says, six hours at most; else nothing."""
    text = (answer.retry_after or "").strip()
    if answer.status not in (HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.SERVICE_UNAVAILABLE) or not text:
        return timedelta()
    if text.isascii() and text.isdigit():
        return min(timedelta(seconds=int(text[:9])), PAUSES[-1])
    try:
        at = parsedate_to_datetime(text)
    except (ValueError, OverflowError):  # the second for a year of twenty digits
        return timedelta()
    return min(max(at.replace(tzinfo=at.tzinfo or UTC) - now, timedelta()), PAUSES[-1])


class Webhooks:
    """Makes the deliveries of what happens and posts them, while it is entered; enter it after the event log.

    ``networks``: private ones that may be posted to.
    """

    def __init__(
        self,
        database: Database,
        keyring: Keyring,
        events: EventLog,
        render: Render,
        *,
        poster: Poster,
        clock: Callable[[], datetime] = _now,
        poll_seconds: float = POLL_SECONDS,
    ) -> None:
        self._database = database
        self._keyring = keyring
        self._events = events
        self._render = render
        self._poster = poster
        self._clock = clock
        self._poll_seconds = poll_seconds
        self._reader = WebhookReader(database, self._look, clock=clock, poll_seconds=poll_seconds)
        self._replayer = WebhookReplayer(database, self._look, clock=clock, poll_seconds=poll_seconds)
        self._wake = asyncio.Event()
        self._posting: set[asyncio.Task[None]] = set()
        self._busy: Counter[str] = Counter()
        self._busy_for: Counter[str] = Counter()
        self._failing: set[str] = set()
        self._tasks: list[asyncio.Task[None]] = []

    def wake(self) -> None:
        """Has it look for what is due, and for replays, now."""
        self._look()
        self._replayer.wake()

    def _look(self) -> None:
        self._wake.set()

    async def __aenter__(self) -> Self:
        """Begins to read and to post."""
        self._events.observers.append(self._reader.observe)
        self._database.after_commit.append(self._reader.committed)
        self._tasks = [
            asyncio.create_task(self._reader.run(), name="webhook-reader"),
            asyncio.create_task(self._replayer.run(), name="webhook-replayer"),
            asyncio.create_task(self._run(), name="webhook-sender"),
            asyncio.create_task(self._tidy(), name="webhook-tidy"),
        ]
        return self

    async def __aexit__(self, *_: object) -> None:
        """Takes up nothing more, and waits for a moment for what is being posted."""
        self._events.observers.remove(self._reader.observe)
        self._database.after_commit.remove(self._reader.committed)
        await _end(self._tasks)
        if self._posting:
            await asyncio.wait(self._posting, timeout=GRACE_SECONDS)
        await _end([*self._posting])
        await self._poster.close()

    async def _run(self) -> None:
        while True:
            self._wake.clear()
            try:
                pause = await self._post_what_is_due()
            except Exception:
                # What was taken and not posted is due again after its lease.
                logger.exception("looking for webhooks to post failed; trying again in %s s", self._poll_seconds)
                pause = self._poll_seconds
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(pause):
                    await self._wake.wait()

    async def _post_what_is_due(self) -> float:
        """Takes up what is due as long as there is room; returns after how many seconds to look again."""
        elsewhere: set[str] = set()
        while len(self._posting) < AT_ONCE:
            full = Full(
                {each for each, count in self._busy.items() if count >= self._room(each)} | elsewhere,
                {each for each, count in self._busy_for.items() if count >= AT_ONCE_OF_ORGANIZATION},
            )
            due = await next_due(self._database, full, self._clock())
            ahead = self._poll_seconds if due is None else (due - self._clock()).total_seconds()
            if ahead > 0:
                return min(ahead, self._poll_seconds)
            try:
                delivery = await claim(self._database, full, self._clock())
            except TriedElsewhere as error:
                elsewhere.add(error.endpoint_id)
                continue
            if delivery is None:
                return self._poll_seconds  # another process was quicker
            self._note_health(delivery.endpoint_id, failing=delivery.failing_since is not None)
            self._busy[delivery.endpoint_id] += 1
            self._busy_for[delivery.organization_id] += 1
            task = asyncio.create_task(self._post(delivery), name=f"post-{delivery.id}")
            self._posting.add(task)
            task.add_done_callback(self._done)
        return self._poll_seconds

    def _room(self, endpoint_id: str) -> int:
        return 1 if endpoint_id in self._failing else AT_ONCE_OF_ONE

    def _note_health(self, endpoint_id: str, *, failing: bool) -> None:
        (self._failing.add if failing else self._failing.discard)(endpoint_id)

    def _done(self, task: asyncio.Task[None]) -> None:
        self._posting.discard(task)
        self._wake.set()

    async def _post(self, delivery: ClaimedDelivery) -> None:
        try:
            outcome = await self._tried(delivery)
            if isinstance(outcome, Delivered) or outcome.blamed:
                self._note_health(delivery.endpoint_id, failing=isinstance(outcome, Undelivered))
            await self._settle(delivery, outcome)
        finally:
            self._busy -= Counter((delivery.endpoint_id,))  # what comes to nothing is forgotten
            self._busy_for -= Counter((delivery.organization_id,))

    async def _settle(self, delivery: ClaimedDelivery, outcome: Delivered | Undelivered) -> None:
        while True:
            try:
                status = await settle(self._database, delivery, outcome, self._clock())
            except Exception:
                # What is known now must not be lost, or it would be posted again.
                logger.exception("noting what became of the webhook %s failed; trying again", delivery.id)
                await asyncio.sleep(_STUMBLE_SECONDS)
                continue
            if status != ACTIVE:
                self._failing.discard(delivery.endpoint_id)
                logger.warning("nothing is posted to the webhook endpoint %s: %s", delivery.endpoint_id, status)
            return

    async def _tried(self, delivery: ClaimedDelivery) -> Delivered | Undelivered:
        """Posts it; returns what came of that."""
        try:
            async with asyncio.timeout(RENDER_SECONDS):
                body = await self._render(delivery)
            if body is None:
                return Undelivered(_GONE, None, blamed=False)
            signed = signed_headers(self._secrets(delivery), delivery.id, self._clock(), body)
            return self._judged(delivery, await self._poster.post(delivery.url, {**_HEADERS, **signed}, body))
        except NotPosted as error:
            failed = Undelivered(str(error), None)
        except Unreadable:
            failed = Undelivered(_UNREADABLE, None, blamed=False)
        except (NoBody, TimeoutError):
            failed = Undelivered("its body could not be made", None, blamed=False)
        except Exception as error:
            logger.exception("posting the webhook %s failed", delivery.id)
            failed = Undelivered(f"a fault of the gateway ({type(error).__name__})", None, blamed=False)
        return self._later(delivery, failed)

    def _judged(self, delivery: ClaimedDelivery, answer: Answer) -> Delivered | Undelivered:
        if HTTPStatus.OK <= answer.status < HTTPStatus.MULTIPLE_CHOICES:
            return Delivered(answer.status)
        failed = Undelivered(f"it answered {answer.status}", None, answer.status)
        if answer.status == HTTPStatus.GONE:
            return failed._replace(gone=True)
        return self._later(delivery, failed, asked_to_wait(answer, self._clock()))

    def _later(self, delivery: ClaimedDelivery, failed: Undelivered, asked: timedelta = timedelta()) -> Undelivered:
        """With the time of the next attempt, the last of which is when it is given up."""
        now = self._clock()
        if now >= delivery.give_up_at:
            return failed
        pause = max(pause_after(delivery.attempts), asked)
        return failed._replace(next_attempt_at=min(now + pause, delivery.give_up_at))

    def _secrets(self, delivery: ClaimedDelivery) -> list[str]:
        """What signs, the newest first; raises ``Unreadable``."""
        place = delivery.endpoint_id
        secrets = [self._keyring.unseal(delivery.secret, secret_place("secret", place))]
        still = delivery.previous_until is not None and delivery.previous_until > self._clock()
        if delivery.previous_secret is not None and still:
            secrets.append(self._keyring.unseal(delivery.previous_secret, secret_place("previous_secret", place)))
        return secrets

    async def _tidy(self) -> None:
        while True:
            try:
                await tidy(self._database, self._clock())
            except Exception:
                logger.exception("tidying up old webhooks failed; trying again in %s s", TIDY_SECONDS)
            await asyncio.sleep(TIDY_SECONDS)


async def _end(tasks: list[asyncio.Task[None]]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
