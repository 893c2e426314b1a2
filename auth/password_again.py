"""Asking somebody who is signed in for their password again, before what a borrowed or stolen session must not do."""

from auth.caller import Caller
from auth.passwords import Passwords, TooBusy
from auth.principal import Principal
from auth.refusal import Refusal
from auth.throttle import PASSWORD_AGAIN, Counted, Throttle
from datasources.database.audit import NewAuditEntry, append_audit
from datasources.database.engine import Database
from datasources.database.profiles import OwnAccount


class PasswordAgain:
    """Checks the password of whoever is signed in; what is tried is counted for the person."""

    def __init__(self, database: Database, passwords: Passwords, throttle: Throttle) -> None:
        self._database = database
        self._passwords = passwords
        self._throttle = throttle

    async def check(
        self, account: OwnAccount, principal: Principal, caller: Caller, password: str, *field: str
    ) -> Counted:
        """Raises ``Refusal`` about ``field`` unless it is the account's password.

        What follows on it forgives what was counted, in its own transaction.
        """
        if account.password_hash is None:
            message = (
                "Your account has no password, because you sign in elsewhere. Have a link sent to you "
                "(requestPasswordReset), choose a password, and give that."
            )
            raise Refusal("REQUIRED", message, *field)
        counted = await self._throttle.admit((PASSWORD_AGAIN, account.id))
        try:
            fits = await self._passwords.verify(password, account.password_hash)
        except TooBusy:
            await self._throttle.withdraw(counted)
            raise
        if not fits:
            scope = self._database.scoped(principal.organization_id, caller.origin(account.id))
            async with scope.transaction() as transaction:
                entry = NewAuditEntry(principal.actor, "account.password_refused", account.id, "MEDIUM")
                await append_audit(transaction, entry)
            raise Refusal("INVALID", "That is not your password.", *field)
        return counted
