import pytest, time
from sqlalchemy import text
from sqlalchemy.dialects import postgresql
from tests.webhooks.delivery.conftest import *
from tests.webhooks.delivery.test_replay import *
from datasources.database import webhook_deliveries as w
from datasources.database.engine import Transaction
pytestmark = pytest.mark.anyio

@pytest.mark.parametrize("url", ["postgresql"], indirect=True)
async def test_x(world, monkeypatch):
    events = await world.happen(count=MANY)
    made = await world.endpoint(path="/hook")
    first = await place_of(world, events[0])
    real = Transaction.execute
    async def timed(self, st, p=None):
        t=time.time(); r=await real(self, st, p); print(round(time.time()-t,2), str(st)[:90].replace("\n"," "), r); return r
    monkeypatch.setattr(Transaction, "execute", timed)
    async with world.database.writer.connect() as c:
        await c.execute(text("LOAD 'auto_explain'"))
    await again(world, made.id, first)
    await again(world, made.id, first)
    async with world.database.writer.connect() as c:
        ctx=dict(tenant=OURS, whose=made.id)
        sql=f"""EXPLAIN UPDATE webhook_deliveries SET attempts=0 WHERE organization_id='{OURS}' AND endpoint_id='{made.id}' AND (tx,position)>({first.tx},{first.position}) AND event_type = ANY('{{OrderChanged}}')"""
        for r in await c.execute(text(sql)): print(r[0])
        sql=f"""EXPLAIN ANALYZE SELECT id FROM events WHERE organization_id='{OURS}' AND (tx,position)>({first.tx},{first.position}) AND (tx,position)<=({first.tx},99999999) AND type = ANY('{{OrderChanged}}') AND NOT EXISTS (SELECT id FROM webhook_deliveries d WHERE d.organization_id='{OURS}' AND d.endpoint_id='{made.id}' AND d.tx=events.tx AND d.position=events.position)"""
        for r in await c.execute(text(sql)): print(r[0])
