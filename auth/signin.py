"""Signing in with an address and a password.

Answer and work are the same whether or not an address has an account: as many statements, and one hash.
"""

from dataclasses import dataclass, field

from auth.caller import Caller
from auth.passwords import Passwords, TooBusy
from auth.sessions import Session, Sessions
from auth.throttle import Counted, Throttle
from datasources.database.accounts import MembershipRow, memberships_of
from datasources.database.audit import NewAuditEntry, append_audit
from datasources.database.engine import Database, Transaction
from datasources.database.people import Credentials, credentials, rehash, still_holds

NOBODY = "usr_nobody"
"""Stands for the person behind an address that has no account."""


@dataclass(frozen=True)
class SignInAttempt:
    """Who wants to sign in, and to which of their organizations; the one that they joined first when none is named."""

    email: str
    password: str = field(repr=False)
    organization_id: str | None = None
    cookie: bool = False


@dataclass(frozen=True)
class Checked:
    """A password that was found to be an account's, not signed in yet.

    ``new_hash`` is set where the password is kept under parameters of another day.
    """

    email_key: str
    user_id: str
    password_hash: str = field(repr=False)
    new_hash: str | None = field(repr=False)
    counted: Counted


class SignIn:
    """Checks passwords and opens sessions."""

    def __init__(self, database: Database, passwords: Passwords, throttle: Throttle, sessions: Sessions) -> None:
        self._database = database
        self._passwords = passwords
        self._throttle = throttle
        self._sessions = sessions

    async def with_password(self, attempt: SignInAttempt, caller: Caller) -> Session | None:
        """A session; ``None`` when address, password and organization do not fit together, without saying which.

        Raises ``TooManyAttempts`` and ``TooBusy``.
        """
        checked = await self.check(attempt.email, attempt.password, caller)
        if checked is None:
            return None
        places = await memberships_of(self._database, checked.user_id)
        wanted = attempt.organization_id
        place = next((each for each in places if wanted in (None, each.organization_id)), None)
        if place is not None:
            scope = self._database.scoped(place.organization_id, caller.origin(place.user_id))
            async with scope.transaction() as transaction:
                if await self.confirm(transaction, checked, caller):
                    method, cookie = "PASSWORD", attempt.cookie
                    return await self._sessions.open(transaction, place, method=method, cookie=cookie)
        await self._note_refusal(checked.email_key, place or next(iter(places), None), checked.counted, caller)
        return None

    async def check(self, email: str, password: str, caller: Caller) -> Checked | None:
        """Whether an account has this password; counted as a failure until ``confirm``.

        Raises as ``with_password``.
        """
        email_key = email.strip().lower()
        place = self._throttle.place_of(email_key, caller.place)
        known = await credentials(self._database, email_key, place)
        if known is not None and not known.usable:
            known = None
        familiar = known is not None and known.familiar_since is not None
        counted = await self._throttle.sign_in(email_key, caller.place, familiar=familiar)
        try:
            found = await self._fitting(password, known)
        except TooBusy:
            await self._throttle.withdraw(counted)
            raise
        if found is not None:
            return Checked(email_key, *found, counted)
        places = await memberships_of(self._database, NOBODY if known is None else known.user_id)
        await self._note_refusal(email_key, next(iter(places), None), counted, caller)
        return None

    async def confirm(self, transaction: Transaction, checked: Checked, caller: Caller) -> bool:
        """Signs in whom ``check`` has found, in the transaction that opens their session.

        ``False`` when the password was changed meanwhile, or the account closed.
        """
        user_id = checked.user_id
        if not await still_holds(transaction, user_id, checked.password_hash):
            return False
        if checked.new_hash is not None:
            await rehash(transaction, user_id, checked.new_hash, was=checked.password_hash)
        await self._throttle.forgive(transaction, checked.counted)
        await self._throttle.make_familiar(transaction, user_id, checked.email_key, caller.place)
        return True

    async def _fitting(self, password: str, known: Credentials | None) -> tuple[str, str, str | None] | None:
        """The person, their hash, and a new hash where that is dated; ``None`` when the password does not fit."""
        known_hash = None if known is None else known.password_hash
        if not await self._passwords.verify(password, known_hash) or known is None or known_hash is None:
            return None
        dated = self._passwords.is_dated(known_hash)
        return known.user_id, known_hash, await self._passwords.hash(password) if dated else None

    async def _note_refusal(self, email_key: str, home: MembershipRow | None, counted: Counted, caller: Caller) -> None:
        """Leaves a trace in the trail of the person's organization, or in the gateway's for who is nobody here."""
        user_id = None if home is None else home.user_id
        scope = self._database.scoped(None if home is None else home.organization_id, caller.origin(user_id))
        entries = [NewAuditEntry("nobody", "session.refused", user_id, "MEDIUM", email=email_key)]
        if counted.longest is not None:
            limit, wait = counted.longest
            details = {"limit": limit, "seconds": int(wait.total_seconds())}
            entries.append(NewAuditEntry("nobody", "session.locked", user_id, "HIGH", details, email_key))
        async with scope.transaction() as transaction:
            for entry in entries:
                await append_audit(transaction, entry)
                if home is None:
                    await _as_much_work(transaction)


async def _as_much_work(transaction: Transaction) -> None:
    """A statement that changes nothing, where an organization would be sent an event."""
    await rehash(transaction, NOBODY, "", was="")
