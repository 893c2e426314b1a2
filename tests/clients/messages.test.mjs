// Messages that went wrong in one place: the gateway refuses exactly those that graphql-ws itself refuses.
//
// SEED chooses other messages, MESSAGES how many.
import assert from "node:assert/strict";
import { test } from "node:test";
import { validateMessage } from "graphql-ws";
import WebSocket from "ws";
import { SOCKET } from "./gateway.mjs";

const COUNT = Number(process.env.MESSAGES ?? 300);
const AT_ONCE = 20;

const WHOLE = [
  { type: "ping" },
  { type: "ping", payload: { a: [1] } },
  { type: "pong", payload: {} },
  { type: "complete", id: "x" },
  { type: "subscribe", id: "x", payload: { query: "{ __typename }" } },
  {
    type: "subscribe",
    id: "x",
    payload: { query: "query A { __typename }", operationName: "A", variables: {}, extensions: {} },
  },
];
const WRONG = [undefined, null, true, 0, -1.5, "", "x", "__proto__", [], [{}], {}, { length: 1 }];
const NAMES = ["id", "payload", "extra", "__proto__"];
const FIELDS = ["query", "operationName", "variables", "extensions", "extra"];

/** A small generator (mulberry32), so that a failure can be had again. */
function random(seed) {
  return () => {
    seed = (seed + 0x6d2b79f5) | 0;
    let mixed = Math.imul(seed ^ (seed >>> 15), 1 | seed);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

const next = random(Number(process.env.SEED ?? 1));
const one = (choices) => choices[Math.floor(next() * choices.length)];

function damaged() {
  const message = structuredClone(one(WHOLE));
  const inside = message.payload !== undefined && next() < 0.6;
  const [target, names] = inside ? [message.payload, FIELDS] : [message, ["type", ...NAMES]];
  // Defined, not assigned: JSON may have a key "__proto__" of its own.
  Object.defineProperty(target, one(names), { value: one(WRONG), enumerable: true, configurable: true });
  return JSON.stringify(message);
}

function expected(text) {
  try {
    validateMessage(JSON.parse(text));
    return "lives";
  } catch {
    return "closed with 4400";
  }
}

/** What becomes of a socket on which this is said: it still answers a ping, or it is closed. */
function said(text) {
  const socket = new WebSocket(SOCKET, "graphql-transport-ws");
  const outcome = new Promise((resolve, reject) => {
    socket.on("error", reject);
    socket.on("close", (code) => resolve(`closed with ${code}`));
    socket.on("open", () => socket.send('{"type":"connection_init"}'));
    socket.on("message", (data) => {
      const message = JSON.parse(data);
      if (message.type === "connection_ack") {
        socket.send(text);
        socket.send('{"type":"ping","payload":{"alive":true}}');
      } else if (message.type === "pong" && message.payload?.alive) resolve("lives");
    });
  });
  return outcome.finally(() => socket.terminate());
}

test(`${COUNT} damaged messages fare as the reference implementation has it`, async () => {
  const texts = [...new Set(Array.from({ length: COUNT }, damaged))];
  const wanted = texts.map(expected);
  assert.equal(new Set(wanted).size, 2, "there are valid ones and invalid ones");
  const found = [];
  for (let start = 0; start < texts.length; start += AT_ONCE) {
    found.push(...(await Promise.all(texts.slice(start, start + AT_ONCE).map(said))));
  }
  const pairs = (outcomes) => texts.map((text, index) => `${text} ${outcomes[index]}`);
  assert.deepEqual(pairs(found), pairs(wanted));
});
