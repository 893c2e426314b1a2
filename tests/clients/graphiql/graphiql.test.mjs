// The GraphiQL page of a gateway in demo mode, as a person meets it in Chromium.
//
//   TRIBUTARY_URL=http://127.0.0.1:8000/graphql npm test
//
// CHROMIUM names the browser (default: /usr/bin/chromium); SHOTS a folder for screenshots.
import assert from "node:assert/strict";
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { after, afterEach, before, beforeEach, test } from "node:test";
import { chromium } from "playwright-core";

const URL_OF_PAGE = process.env.TRIBUTARY_URL ?? "http://127.0.0.1:8000/graphql";
const ORIGIN = new URL(URL_OF_PAGE).host;
const SHOTS = process.env.SHOTS;
if (SHOTS) mkdirSync(SHOTS, { recursive: true });

let browser, context, page, requests, sockets, complaints;

before(async () => {
  browser = await chromium.launch({
    executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium",
    args: ["--no-sandbox", "--disable-gpu", "--disable-background-networking"],
  });
});

after(() => browser?.close());

beforeEach(() => visit());

afterEach(async () => {
  await context.close();
  const foreign = requests.map((request) => request.url()).filter((url) => /^(http|ws)/.test(url) && new URL(url).host !== ORIGIN);
  assert.deepEqual(foreign, [], "a request left the machine");
  assert.deepEqual(complaints, [], "the browser's console shows errors");
});

async function visit(options = {}, url = URL_OF_PAGE) {
  await context?.close();
  context = await browser.newContext({ viewport: { width: 1400, height: 860 }, colorScheme: "light", ...options });
  page = await context.newPage();
  [requests, sockets, complaints] = [[], [], []];
  page.on("request", (request) => requests.push(request));
  page.on("websocket", (socket) => {
    sockets.push(socket);
    socket.on("framesent", ({ payload }) => (socket.sent ??= []).push(JSON.parse(payload)));
  });
  page.on("pageerror", (error) => complaints.push(error.message));
  page.on("console", (message) => message.type() === "error" && complaints.push(message.text()));
  await page.goto(url);
  await page.locator(".graphiql-query-editor .monaco-editor .view-line").first().waitFor();
}

const shot = (name) => SHOTS && page.screenshot({ path: join(SHOTS, `${name}.png`) });
const run = () => page.locator(".graphiql-execute-button").click();
const query = () => page.evaluate(() => modelOf("operation.graphql").getValue());
const response = () => page.evaluate(() => modelOf("response.json").getValue());
const button = (name) => page.getByRole("button", { name });
const status = () => page.locator("header [role=status]").innerText();
const fill = (file, text) => page.evaluate(([name, value]) => modelOf(name).setValue(value), [file, text]);

/** Monaco's models are the text of the editors; the page's own build of Monaco names itself __MONACO. */
const MODELS = `globalThis.modelOf = (name) => globalThis.__MONACO.editor.getModels().find((model) => model.uri.path.endsWith(name));`;

async function until(condition, what) {
  for (const end = Date.now() + 10_000; Date.now() < end; await new Promise((resolve) => setTimeout(resolve, 50))) {
    if (await condition()) return;
  }
  assert.fail(`never: ${what}`);
}

async function ready() {
  await page.evaluate(MODELS);
}

async function signIn() {
  const login = button(/^Sign in as/).first();
  await login.click();
  await button("Sign out").waitFor();
}

async function answerTo(text) {
  await fill("operation.graphql", text);
  const asked = page.waitForRequest((request) => request.method() === "POST" && request.postData().includes(text.slice(2, -2)));
  await run();
  return (await asked).headers();
}

test("a first visitor finds a welcome query that runs without signing in", async () => {
  await ready();
  assert.match(await query(), /^# Welcome to Tributary/);
  assert.equal(await status(), "Not signed in");
  await run();
  await until(async () => (await response()).includes('"data"'), "an answer to the welcome query");
  assert.doesNotMatch(await response(), /"errors"/);
  await shot("first-visit-light");
});

test("the page follows a dark desktop", async () => {
  await visit({ colorScheme: "dark" });
  await ready();
  await run();
  await until(async () => (await response()).includes('"data"'), "an answer to the welcome query");
  await signIn();
  await shot("signed-in-dark");
  assert.equal(await page.evaluate(() => getComputedStyle(document.querySelector("header")).backgroundColor), "rgb(24, 34, 44)");
});

test("one click signs in, and every request carries the token until signing out", async () => {
  await ready();
  await signIn();
  assert.notEqual(await status(), "Not signed in");
  await shot("signed-in-light");
  const kept = await page.evaluate(() => [JSON.stringify(localStorage), JSON.parse(sessionStorage["tributary.session"])]);
  assert.ok(!kept[0].includes(kept[1].accessToken), "the token must not outlive the tab");

  const signedIn = await answerTo("{ afterSignIn: __typename }");
  assert.equal(signedIn.authorization, `Bearer ${kept[1].accessToken}`);
  assert.match(signedIn.accept, /^application\/graphql-response\+json, application\/json/);

  await page.reload();
  await button("Sign out").waitFor();
  await page.locator(".graphiql-query-editor .monaco-editor .view-line").first().waitFor();
  await ready();
  await button("Sign out").click();
  const signedOut = await answerTo("{ afterSignOut: __typename }");
  assert.equal(signedOut.authorization, undefined);
});

test("a token in the headers editor wins over the session", async () => {
  await ready();
  await signIn();
  await button("Headers").click();
  await fill("request-headers.json", '{ "Authorization": "Basic b3duOm93bg==", "X-Trace": "a1" }');
  await page.route(URL_OF_PAGE, (route) => route.fulfill({ json: { data: {} } }));
  const headers = await answerTo("{ ownToken: __typename }");
  assert.equal(headers.authorization, "Basic b3duOm93bg==");
  assert.equal(headers["x-trace"], "a1");
});

test("a subscription opens a WebSocket at the same address with the headers as connectionParams", async () => {
  await ready();
  await signIn();
  await button(/^Live orders/).click();
  await run();
  await until(() => sockets[0]?.sent?.some(({ type }) => type === "subscribe"), "a subscription");
  assert.equal(sockets[0].url(), URL_OF_PAGE.replace(/^http/, "ws"));
  const { payload } = sockets[0].sent.find(({ type }) => type === "connection_init");
  assert.match(payload.authorization, /^Bearer ./);
  await shot("live-orders");
  await run();
  await until(() => sockets[0].isClosed(), "the socket closed after Stop");
});

test("an ended session asks to sign in again", async () => {
  await ready();
  await signIn();
  await page.evaluate(() => {
    const session = JSON.parse(sessionStorage["tributary.session"]);
    sessionStorage["tributary.session"] = JSON.stringify({ ...session, accessTokenExpiresAt: "2020-01-01T00:00:00Z" });
  });
  await page.reload();
  await until(async () => (await status()).includes("Sign in again"), "the page says that the session has ended");
  assert.equal(await page.evaluate(() => sessionStorage["tributary.session"]), undefined);
  await shot("session-ended");
});

test("each example opens in a tab of its own and fits the schema", async () => {
  await ready();
  const examples = page.locator(".example");
  const titles = await page.locator(".example-title").allInnerTexts();
  assert.ok(titles.length >= 7);
  for (const [index, title] of titles.entries()) {
    await examples.nth(index).click();
    // The editor's worker checks the text against the schema a moment after it changed.
    await page.waitForTimeout(1200);
    const problems = await page.evaluate(() =>
      globalThis.__MONACO.editor.getModelMarkers({ resource: modelOf("operation.graphql").uri }).map(({ message }) => message),
    );
    assert.deepEqual(problems, [], `the example "${title}" does not fit the schema`);
  }
  // The first example is the welcome query, which is open already.
  assert.equal(await page.locator(".graphiql-tab").count(), titles.length);
  await shot("examples");
});

test("a link may carry an operation, which is text and never markup", async () => {
  const search = new URLSearchParams({ query: '{ linked: __typename } # </script><img src=x onerror=alert(1)>', variables: '{"a": 1}' });
  await visit({}, `${URL_OF_PAGE}?${search}`);
  await ready();
  assert.equal(await query(), search.get("query"));
  assert.equal(await page.evaluate(() => modelOf("variables.json").getValue()), '{"a": 1}');
  assert.equal(await page.locator("img[src=x]").count(), 0);
});
