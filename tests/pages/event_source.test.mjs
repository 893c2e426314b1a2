// A browser's own EventSource, with the cookies of a session, over a line that is cut again and again.
//
//   TRIBUTARY_URL=http://127.0.0.1:8000/graphql node --test tests/pages/event_source.test.mjs
import assert from "node:assert/strict";
import { createRequire } from "node:module";
import { test } from "node:test";
import { proxyTo } from "../clients/proxy.mjs";

const { chromium } = createRequire(new URL("../clients/graphiql/package.json", import.meta.url))("playwright-core");
const API = process.env.TRIBUTARY_URL ?? "http://127.0.0.1:8000/graphql";
const ORDERS = 12;

/** Asks from within the page, as a page of the gateway does in cookie mode. */
const ask = (page, query, variables) =>
  page.evaluate(
    async ([query, variables]) => {
      const [, csrf] = /__Host-tributary-csrf=([^;]*)/.exec(document.cookie) ?? [];
      const answer = await fetch("/graphql", {
        method: "POST",
        headers: { "content-type": "application/json", ...(csrf && { "x-csrf-token": csrf }) },
        body: JSON.stringify({ query, variables }),
      });
      return answer.json();
    },
    [query, variables],
  );

test("what the line swallowed comes after it, each event once", async () => {
  const proxy = await proxyTo(API);
  const browser = await chromium.launch({
    executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium",
    args: ["--no-sandbox", "--disable-gpu", "--disable-background-networking"],
  });
  try {
    const page = await browser.newPage();
    await page.goto(`http://localhost:${proxy.port}/events`);
    const signedIn = await ask(
      page,
      `mutation ($input: LoginInput!) { login(input: $input) { session { user { id } } userErrors { message } } }`,
      { input: { email: "ada@example.com", password: "tributary demo", cookie: true } },
    );
    assert.ok(signedIn.data?.login.session, JSON.stringify(signedIn));
    const list = `{ orders(filter: { platforms: ["messaging"], status: [PENDING] }, first: ${ORDERS}) { nodes { id } } }`;
    const orders = (await ask(page, list)).data.orders.nodes.map(({ id }) => id);
    assert.equal(orders.length, ORDERS);
    await page.evaluate(() => {
      window.heard = [];
      const query = "subscription { orderChanged { cursor order { id } } }";
      const source = new EventSource(`/graphql?query=${encodeURIComponent(query)}`);
      window.opened = 0;
      source.addEventListener("open", () => (window.opened += 1));
      source.addEventListener("next", ({ data, lastEventId }) =>
        window.heard.push([lastEventId, JSON.parse(data).data.orderChanged]),
      );
    });
    await page.waitForFunction(() => window.opened === 1);
    for (const [index, orderId] of orders.entries()) {
      // The first time before anything has happened: the sign of life that a stream begins with has a cursor, too.
      if (index === 0 || index === 3 || index === 7) proxy.cut();
      const cancel = `mutation ($input: CancelOrderInput!) { cancelOrder(input: $input) { userErrors { message } } }`;
      let answer;
      do answer = await ask(page, cancel, { input: { orderId } }).catch(() => undefined);
      while (!answer);
    }
    await page.waitForFunction((count) => window.heard.length >= count, ORDERS, { timeout: 30_000 });
    const heard = await page.evaluate(() => window.heard);
    assert.deepEqual(heard.map(([, event]) => event.order.id), orders);
    for (const [id, event] of heard) assert.equal(id, event.cursor);
    assert.ok((await page.evaluate(() => window.opened)) >= 2, "the line was never cut");
  } finally {
    await browser.close();
    proxy.close();
  }
});
