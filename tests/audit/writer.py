"""A process that writes to the audit trail until it is killed, and says a line for each entry that is committed."""

import asyncio
import sys

from datasources.database.audit import NewAuditEntry, append_audit
from datasources.database.engine import Database, Origin


async def write(url: str, key: bytes, organization_id: str) -> None:
    """Several writers at once, so that one of them is always in the middle."""
    database = Database(url, audit_key=key)

    async def writer() -> None:
        while True:
            async with database.scoped(organization_id, Origin("203.0.113.7")).transaction() as transaction:
                await append_audit(transaction, NewAuditEntry("usr_a", "session.opened", None))
                await append_audit(transaction, NewAuditEntry("usr_a", "order.moved", None))
            sys.stdout.write("written\nwritten\n")
            sys.stdout.flush()

    await asyncio.gather(*(writer() for _ in range(3)))


if __name__ == "__main__":
    asyncio.run(write(sys.argv[1], bytes.fromhex(sys.argv[2]), sys.argv[3]))
