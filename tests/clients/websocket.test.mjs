// graphql-ws, the reference client of the graphql-transport-ws protocol.
import assert from "node:assert/strict";
import { test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { createClient } from "graphql-ws";
import WebSocket from "ws";
import { SOCKET, live, signIn, until } from "./gateway.mjs";
import { WATCH, eachMoveIsSeenOnce } from "./orders.mjs";
import { proxyTo } from "./proxy.mjs";

const BEATS = "subscription ($count: Int!) { heartbeat(count: $count, intervalMs: 20) }";
const client = (options) => createClient({ url: SOCKET, webSocketImpl: WebSocket, retryAttempts: 0, ...options });

async function all(results) {
  const found = [];
  for await (const result of results) found.push(result);
  return found;
}

test("a query is answered once, and its socket carries a subscription besides", async (t) => {
  const one = client();
  t.after(() => one.dispose());
  const [answers, beats] = await Promise.all([
    all(one.iterate({ query: "query ($text: String!) { echo(text: $text) }", variables: { text: "é\n😀" } })),
    all(one.iterate({ query: BEATS, variables: { count: 4 } })),
  ]);
  assert.deepEqual(answers, [{ data: { echo: "é\n😀" } }]);
  assert.deepEqual(beats.map(({ data }) => data.heartbeat), [1, 2, 3, 4]);
});

test("a hundred subscriptions share a socket", async (t) => {
  const one = client();
  t.after(() => one.dispose());
  const streams = await Promise.all(
    Array.from({ length: 100 }, () => all(one.iterate({ query: BEATS, variables: { count: 3 } }))),
  );
  for (const stream of streams) assert.deepEqual(stream.map(({ data }) => data.heartbeat), [1, 2, 3]);
});

test("a wrong document is the operation's error and leaves the socket open", async (t) => {
  const one = client();
  t.after(() => one.dispose());
  await assert.rejects(all(one.iterate({ query: "{ nope }" })), ([error]) => {
    assert.equal(error.extensions.code, "GRAPHQL_VALIDATION_FAILED");
    return true;
  });
  assert.deepEqual(await all(one.iterate({ query: "{ __typename }" })), [{ data: { __typename: "Query" } }]);
});

test("who leaves a subscription stops it on the server", async (t) => {
  const one = client();
  t.after(() => one.dispose());
  const before = await live();
  for await (const { data } of one.iterate({ query: BEATS, variables: { count: 1000 } })) {
    if (data.heartbeat === 3) break;
  }
  await until(async () => (await live()) <= before);
});

test("the server answers the client's pings", async (t) => {
  let pongs = 0;
  const one = client({ lazy: false, keepAlive: 50, on: { pong: (received) => (pongs += received) } });
  t.after(() => one.dispose());
  await until(() => pongs >= 3);
});

test("connectionParams carry the token; a false one closes the socket", async (t) => {
  const mine = client({ connectionParams: async () => ({ authorization: await signIn("grace@example.com") }) });
  const forged = client({ connectionParams: { authorization: "Bearer forged" } });
  t.after(() => Promise.all([mine.dispose(), forged.dispose()]));
  const query = "subscription { viewerHeartbeat(count: 1, intervalMs: 10) { email } }";
  assert.deepEqual(await all(mine.iterate({ query })), [{ data: { viewerHeartbeat: { email: "grace@example.com" } } }]);
  await assert.rejects(all(forged.iterate({ query })), { code: 4403 });
});

test("a client that was cut off connects again and misses and repeats nothing", async (t) => {
  const proxy = await proxyTo(SOCKET);
  t.after(() => proxy.close());
  let one;
  const watch = (variables, authorization) => {
    one = client({
      url: `ws://127.0.0.1:${proxy.port}/graphql`,
      connectionParams: { authorization },
      retryAttempts: 20,
      retryWait: () => sleep(20),
      shouldRetry: () => true,
    });
    t.after(() => one.dispose());
    return one.iterate({ query: WATCH, variables });
  };
  await eachMoveIsSeenOnce(watch, proxy.cut);
  assert.ok(proxy.connections >= 2, "the wire was never cut");
});
