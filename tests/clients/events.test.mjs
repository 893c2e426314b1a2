// Server-sent events: graphql-sse, the reference client, and an EventSource as browsers have it.
import assert from "node:assert/strict";
import { test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { EventSource } from "eventsource";
import { createClient } from "graphql-sse";
import { GRAPHQL, live, signIn, until } from "./gateway.mjs";
import { WATCH, eachMoveIsSeenOnce } from "./orders.mjs";
import { proxyTo } from "./proxy.mjs";

const BEATS = "subscription ($count: Int!) { heartbeat(count: $count, intervalMs: 20) }";
const client = (options) => createClient({ url: GRAPHQL, retryAttempts: 0, ...options });

async function all(results) {
  const found = [];
  for await (const result of results) found.push(result);
  return found;
}

test("a query is one event, a subscription as many as it has, and then they complete", async () => {
  const one = client();
  assert.deepEqual(await all(one.iterate({ query: '{ echo(text: "a\\r\\nb") }' })), [{ data: { echo: "a\r\nb" } }]);
  const beats = await all(one.iterate({ query: BEATS, variables: { count: 4 } }));
  assert.deepEqual(beats.map(({ data }) => data.heartbeat), [1, 2, 3, 4]);
});

test("errors arrive within the stream", async () => {
  const [wrong] = await all(client().iterate({ query: "{ nope }" }));
  assert.equal(wrong.errors[0].extensions.code, "GRAPHQL_VALIDATION_FAILED");
  const [refused] = await all(client().iterate({ query: "subscription { viewerHeartbeat(count: 1) { id } }" }));
  assert.equal(refused.errors[0].extensions.code, "UNAUTHENTICATED");
  assert.ok(!refused.data?.viewerHeartbeat);
});

test("headers carry the token", async () => {
  const one = client({ headers: async () => ({ authorization: await signIn("grace@example.com") }) });
  const query = "subscription { viewerHeartbeat(count: 1, intervalMs: 10) { email } }";
  assert.deepEqual(await all(one.iterate({ query })), [{ data: { viewerHeartbeat: { email: "grace@example.com" } } }]);
});

test("who leaves a stream stops it on the server", async () => {
  const before = await live();
  for await (const { data } of client().iterate({ query: BEATS, variables: { count: 1000 } })) {
    if (data.heartbeat === 3) break;
  }
  await until(async () => (await live()) <= before);
});

test("a client that was cut off connects again and misses and repeats nothing", async (t) => {
  const proxy = await proxyTo(GRAPHQL);
  t.after(() => proxy.close());
  const watch = (variables, authorization) =>
    client({
      url: `http://127.0.0.1:${proxy.port}/graphql`,
      headers: { authorization },
      retryAttempts: 20,
      retry: () => sleep(20),
    }).iterate({ query: WATCH, variables });
  await eachMoveIsSeenOnce(watch, proxy.cut);
  assert.ok(proxy.connections >= 2, "the wire was never cut");
});

test("an EventSource takes a subscription from its address alone", async (t) => {
  const address = new URL(GRAPHQL);
  address.search = new URLSearchParams({ query: BEATS, variables: '{"count": 3}' });
  const source = new EventSource(address);
  t.after(() => source.close());
  const beats = [];
  await new Promise((complete, fail) => {
    source.addEventListener("next", ({ data }) => beats.push(JSON.parse(data).data.heartbeat));
    source.addEventListener("complete", complete);
    source.addEventListener("error", fail);
  });
  assert.deepEqual(beats, [1, 2, 3]);
});
