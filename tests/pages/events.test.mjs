// The page of live events of a gateway in demo mode, as a person meets it in Chromium.
//
//   TRIBUTARY_URL=http://127.0.0.1:8000/graphql node --test tests/pages/events.test.mjs
//
// The browser is driven by what tests/clients/graphiql has installed. CHROMIUM and SHOTS as there.
import assert from "node:assert/strict";
import { mkdirSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";
import { after, afterEach, before, beforeEach, test } from "node:test";
import { proxyTo } from "../clients/proxy.mjs";

const { chromium } = createRequire(new URL("../clients/graphiql/package.json", import.meta.url))("playwright-core");
const API = process.env.TRIBUTARY_URL ?? "http://127.0.0.1:8000/graphql";
const { origin } = new URL(API);
const PAGE = `${origin}/events`;
const SHOTS = process.env.SHOTS;
if (SHOTS) mkdirSync(SHOTS, { recursive: true });

let browser, context, page, complaints;

before(async () => {
  browser = await chromium.launch({
    executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium",
    args: ["--no-sandbox", "--disable-gpu", "--disable-background-networking"],
  });
});

after(() => browser?.close());

beforeEach(async () => {
  context = await browser.newContext({
    viewport: { width: 1300, height: 800 },
    reducedMotion: "reduce",
    timezoneId: "Asia/Kathmandu",
    permissions: ["clipboard-read", "clipboard-write"],
  });
  context.setDefaultTimeout(60_000); // a machine that does other things, too
  page = await context.newPage();
  complaints = [];
  page.on("pageerror", (error) => complaints.push(error.message));
  page.on("console", (message) => message.type() === "error" && complaints.push(message.text()));
});

afterEach(async () => {
  await context.close();
  assert.deepEqual(complaints, [], "the browser's console shows errors");
});

const shot = (name) => SHOTS && page.screenshot({ path: join(SHOTS, `events-${name}.png`) });
const button = (name, where = page) => where.getByRole("button", { name, exact: true });
const state = (word, where = page) => where.locator(".state", { hasText: word }).waitFor();
const copied = () => page.evaluate(() => navigator.clipboard.readText());

async function until(condition, what) {
  for (const end = Date.now() + 60_000; Date.now() < end; await new Promise((resolve) => setTimeout(resolve, 30))) {
    if (await condition()) return;
  }
  assert.fail(`never: ${what}`);
}

/** Opens the page, and signs in as an owner of the demo where nobody is. */
async function open(address = PAGE, where = page) {
  await where.goto(address);
  const signIn = where.getByRole("button", { name: /^Sign in as Ada/ });
  await signIn.or(where.getByRole("button", { name: "Sign out" })).first().waitFor();
  if (await signIn.isVisible()) await signIn.click();
}

/** Makes something happen: signing in is an event too. Returns when it was answered. */
async function happen(times = 1) {
  const query = `mutation { login(input: { email: "ada@example.com", password: "tributary demo" }) { session { id } } }`;
  for (; times > 0; times -= 1) {
    const headers = { "content-type": "application/json" };
    const answer = await fetch(API, { method: "POST", headers, body: JSON.stringify({ query }) });
    assert.ok((await answer.json()).data.login.session.id);
  }
}

const received = async (where = page) => Number((await where.locator(".foot span").first().innerText()).match(/^[\d,]+/)[0].replace(",", ""));
const cursors = (where = page) => where.locator(".row .unfold").evaluateAll((all) => all.map((each) => each.dataset.cursor));
const follow = () => page.locator(".let-go").click();

async function grows(before, by, where = page) {
  await until(async () => (await received(where)) >= before + by, `${by} events more`);
  assert.equal(await received(where), before + by);
}

/** Answers the page's subscription in place of the server: `told(message, send)` for each one that it begins. */
const instead = (told) =>
  page.routeWebSocket(API.replace(/^http/, "ws"), (socket) => {
    socket.onMessage((text) => {
      const message = JSON.parse(text);
      if (message.type === "connection_init") socket.send('{"type":"connection_ack"}');
      if (message.type === "subscribe") told(message, (type, payload) => socket.send(JSON.stringify({ id: message.id, type, payload })));
    });
  });

test("the newest events are there at once, and what happens comes on top by itself", async () => {
  await page.goto(PAGE);
  await page.getByRole("heading", { name: "Sign in to see events" }).waitFor();
  await shot("signed-out");
  await open();
  await state("Live");
  assert.equal(await received(), 50);
  assert.equal(await page.getByRole("table").getAttribute("aria-rowcount"), "51");
  await happen();
  await grows(50, 1);
  const row = page.locator(".row").first();
  assert.match(await row.innerText(), /SecurityEvent[^]*session\.opened/);
  const time = row.locator("time");
  const utc = await time.getAttribute("datetime");
  assert.match(utc, /^\d{4}-\d\d-\d\dT[\d:.]+Z$/);
  assert.equal(await time.getAttribute("title"), `${utc} (UTC)`);
  // A quarter to six hours ahead of UTC: the minutes are others there.
  const [, hour, minute] = utc.match(/T(\d\d):(\d\d)/).map(Number);
  const there = (hour * 60 + minute + 345) % 1440;
  assert.ok((await time.innerText()).includes(`${String(Math.floor(there / 60)).padStart(2, "0")}:${String(there % 60).padStart(2, "0")}:`));
  await shot("live");

  await button("Sign out").click();
  await page.getByRole("heading", { name: "Sign in to see events" }).waitFor();
  assert.equal(await page.locator(".row").count(), 0, "the next one at this screen sees what they must not");
});

test("what happens during a pause comes when it is over, once", async () => {
  const begun = [];
  page.on("websocket", (socket) =>
    socket.on("framesent", ({ payload }) => {
      const { type, payload: asked } = JSON.parse(payload);
      if (type === "subscribe") begun.push(asked.variables.after);
    }),
  );
  await open();
  await state("Live");
  await happen();
  await grows(50, 1);
  const before = await received();
  await button("Pause").click();
  await state("Paused");
  await happen(3);
  assert.equal(await received(), before);
  const [last] = await cursors();
  await button("Resume").click();
  await state("Live");
  await grows(before, 3);
  assert.equal(begun.length, 2);
  assert.equal(begun[1], last, "it goes on from elsewhere");
  const shown = await cursors();
  assert.equal(new Set(shown).size, shown.length);
});

test("a line that breaks is mended by itself, and nothing is missed or repeated", async (t) => {
  const proxy = await proxyTo(API);
  t.after(() => proxy.close());
  await open(`http://127.0.0.1:${proxy.port}/events`);
  await state("Live");
  const before = await received();
  for (let times = 1; times <= 2; times += 1) {
    proxy.cut();
    await happen(2);
    await grows(before, 2 * times);
    await state("Live");
  }
  const shown = await cursors();
  assert.equal(new Set(shown).size, shown.length);
  complaints.length = 0; // the browser's own, about the connection
});

test("the list can be filtered, and a link reopens it with its filter and from its cursor", async () => {
  await open();
  await state("Live");
  await page.locator("summary", { hasText: "Type" }).click();
  await page.getByRole("checkbox", { name: "SecurityEvent" }).check();
  await until(() => page.url().includes("type=SecurityEvent"), "the filter in the address");
  await state("Live");
  await happen(2);
  await until(async () => (await page.locator(".row").first().innerText()).includes("session.opened"), "a sign-in");
  await until(async () => !(await page.locator(".body").innerText()).includes("OrderChanged"), "only what was chosen");
  await page.getByLabel("Text in the events").fill("no event says this");
  await page.getByRole("heading", { name: "No event has this text" }).waitFor();
  await page.getByLabel("Text in the events").fill("SESSION.opened");
  await page.locator(".row").first().waitFor();

  await button("Copy link from here").click();
  await page.getByText("Copied").waitFor();
  const link = new URL(await copied());
  assert.deepEqual([...link.searchParams.keys()], ["type", "text", "after"]);
  assert.equal(link.searchParams.get("after"), (await cursors())[0]);
  await happen(2);
  const other = await context.newPage();
  await open(link.href, other);
  await grows(0, 2, other);
  await state("Live", other);
  assert.equal(await other.getByLabel("Text in the events").inputValue(), "SESSION.opened");
  await button("Newest instead", other).click();
  await until(async () => (await received(other)) > 2, "what was before");
});

test("nobody reads on moving ground, and all of it works without a mouse", async () => {
  await open();
  await state("Live");
  const [, second] = await cursors();
  await page.locator(".row .unfold").first().focus();
  await page.keyboard.press("ArrowDown");
  await page.keyboard.press("Enter");
  const json = JSON.parse(await page.getByLabel("The event as JSON").innerText());
  assert.equal(json.cursor, second);
  await shot("unfolded");
  const before = await cursors();
  await happen(2);
  await page.getByText("2 new").waitFor();
  assert.deepEqual(await cursors(), before, "the list moved while it was read");

  for (const [name, text] of [["Copy cursor", json.cursor], ["Copy id", json.id]]) {
    await button(name, page.locator(".details")).press("Enter");
    await until(async () => (await copied()) === text, name);
  }
  await page.keyboard.press("Escape");
  await until(async () => (await cursors())[0] !== before[0], "the newest events again");
  assert.equal(await page.getByLabel("The event as JSON").count(), 0);

  await page.locator(".row .unfold").first().focus();
  await page.keyboard.press("End");
  await until(
    () => page.evaluate(() => document.activeElement.closest(".row")?.ariaRowIndex === document.querySelector("[role=table]").ariaRowCount),
    "the last row has the focus",
  );
  // What is read out by itself is how the connection does, never a row.
  assert.equal(await page.locator("[role=table] :is([aria-live], [role=status], [role=alert]):not(.said)").count(), 0);
  await follow();
});

test("a cursor that is too old leads to the oldest that works", async () => {
  const begun = [];
  await instead(({ payload: { variables } }, send) => {
    begun.push(variables.after);
    if (variables.after !== "aged") return;
    send("error", [{ message: "Not kept any more.", extensions: { code: "BAD_REQUEST", oldestCursor: "oldest" } }]);
  });
  await open(`${PAGE}?after=aged`);
  await page.getByRole("alert").filter({ hasText: "Some of these events are gone" }).waitFor();
  await state("Stopped");
  await shot("too-old");
  await button("Go on from the oldest that is kept").click();
  await until(() => begun.at(-1) === "oldest", "the stream from the oldest cursor");
  assert.equal(new URL(page.url()).searchParams.get("after"), "oldest");
});

test("who lacks the right is told which, and whom to ask", async () => {
  await instead((_, send) => {
    send("error", [{ message: "This is not yours to see.", extensions: { code: "FORBIDDEN", requiredScopes: [["events:read"]] } }]);
  });
  await open();
  await page.getByRole("alert").filter({ hasText: "Ask an administrator of your organization for events:read" }).waitFor();
  await state("Stopped");
});

test("thousands of events at once leave a small page that shows the last of them", async () => {
  let send;
  await instead((_, sends) => (send = sends));
  await open();
  await until(() => send, "a subscription");
  const at = new Date().toISOString();
  for (let each = 1; each <= 2_500; each += 1) {
    const event = { __typename: "OrderChanged", id: `evt_${each}`, cursor: `c${each}`, at, platform: null, business: null };
    send("next", { data: { events: { ...event, order: { number: `R-${each}` }, to: "PAID" } } });
  }
  await grows(50, 2_500);
  await page.locator(".foot", { hasText: "the newest 2,000 kept" }).waitFor();
  assert.deepEqual((await cursors()).slice(0, 3), ["c2500", "c2499", "c2498"]);
  assert.equal(await page.getByRole("table").getAttribute("aria-rowcount"), "2001");
  const size = () => page.evaluate(() => document.querySelectorAll("*").length);
  assert.ok((await size()) < 1_000, `${await size()} elements`);
  await page.locator(".scroller").evaluate((scroller) => (scroller.scrollTop = scroller.scrollHeight));
  await until(async () => (await cursors()).at(-1) === "c501", "the oldest that is kept");
  assert.ok((await size()) < 1_000, `${await size()} elements`);
});

test("text of events and of the address is text and never markup", async () => {
  const attack = "<img src=x onerror=alert(1)>";
  await instead((_, send) => {
    const event = { __typename: attack, id: attack, cursor: attack, at: new Date().toISOString(), business: { id: "b", name: attack } };
    send("next", { data: { events: { ...event, platform: { key: "p", name: attack }, order: { number: attack }, to: attack } } });
  });
  await open(`${PAGE}?${new URLSearchParams({ platform: attack, after: attack })}`);
  await page.locator(".row", { hasText: attack }).click();
  await page.getByLabel("The event as JSON").waitFor();
  assert.equal(await page.locator("img").count(), 0);
});

test("the pages fit a small screen, and follow a dark one", async () => {
  await open();
  await state("Live");
  await page.emulateMedia({ colorScheme: "dark" });
  assert.equal(await page.evaluate(() => getComputedStyle(document.body).backgroundColor), "rgb(17, 24, 31)");
  await shot("dark");
  const overflow = () => page.evaluate(() => [document.documentElement.scrollWidth - innerWidth, document.documentElement.scrollHeight - innerHeight]);
  await page.setViewportSize({ width: 390, height: 760 });
  assert.deepEqual(await overflow(), [0, 0]);
  await shot("narrow-dark");
  await page.setViewportSize({ width: 1100, height: 800 });
  await page.getByRole("link", { name: "GraphiQL" }).click();
  await page.locator(".graphiql-query-editor .monaco-editor .view-line").first().waitFor();
  assert.deepEqual(await overflow(), [0, 0]);
});
