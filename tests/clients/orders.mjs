// Orders that move while somebody watches over a wire that breaks.
import assert from "node:assert/strict";
import { setTimeout as sleep } from "node:timers/promises";
import { dataOf, signIn } from "./gateway.mjs";

export const WATCH = "subscription ($after: String) { orderChanged(after: $after) { cursor to order { id } } }";
const PAID = `query ($first: Int!) {
  orders(first: $first, filter: { platforms: ["messaging"], status: [PAID] }) { nodes { id } }
}`;
const COMPLETE = "mutation ($input: CompleteOrderInput!) { completeOrder(input: $input) { order { status } } }";

/**
 * Completes orders while `watch(variables, authorization)`, an async iterable of results, is cut off twice.
 *
 * A client that connects again sends its operation again, so `variables.after` is kept at the last cursor that was
 * seen. Each order must be seen to move exactly once, in order, however often the wire broke.
 */
export async function eachMoveIsSeenOnce(watch, cut) {
  const authorization = await signIn();
  const { nodes } = (await dataOf(PAID, { first: 20 }, authorization)).orders;
  const left = nodes.map(({ id }) => id);
  const moved = [];
  const complete = async () => {
    moved.push(left[0]);
    await dataOf(COMPLETE, { input: { orderId: left.shift() } }, authorization);
  };

  const variables = { after: null };
  const seen = [];
  let cuts = 0;
  let first = () => {};
  const begun = new Promise((resolve) => (first = resolve));
  const watching = (async () => {
    for await (const { data, errors } of watch(variables, authorization)) {
      assert.equal(errors, undefined, JSON.stringify(errors));
      const { cursor, order } = data.orderChanged;
      variables.after = cursor;
      if (!moved.includes(order.id)) continue;
      seen.push(order.id);
      first();
      // What had arrived before a cut is still to be read, so the next one waits until the client is back.
      if (cuts < 2 && seen.length >= 3 * (cuts + 1) && cut()) cuts += 1;
      if (order.id === moved.at(-1) && left.length === 0) return;
    }
  })();
  // Without a cursor the stream begins when the server gets to it: what moves before is nobody's to see.
  while (seen.length === 0 && left.length > 12) {
    await complete();
    await Promise.race([begun, watching, sleep(200)]);
  }
  while (left.length > 0) await complete();
  await watching;
  assert.deepEqual(seen, moved.slice(moved.indexOf(seen[0])));
}
