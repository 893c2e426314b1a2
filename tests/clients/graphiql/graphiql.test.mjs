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
    socket.on("framereceived", ({ payload }) => (socket.received ??= []).push(JSON.parse(payload).type));
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

async function cookie(name) {
  return (await context.cookies()).find((each) => each.name === `__Host-tributary-${name}`)?.value;
}

/** What the API says from outside the browser to who has this token. */
async function asked(query, token) {
  const headers = { "content-type": "application/json", authorization: `Bearer ${token}` };
  return (await fetch(URL_OF_PAGE, { method: "POST", headers, body: JSON.stringify({ query }) })).json();
}

const viewerOf = (token) => asked("{ viewer { email } }", token);
const endElsewhere = (token) => asked("mutation { logout(input: {}) { userErrors { message } } }", token);

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

test("one click signs in with tokens that no script can read, and signing out ends them", async () => {
  await ready();
  await signIn();
  assert.notEqual(await status(), "Not signed in");
  await shot("signed-in-light");
  const [access, refresh] = [await cookie("access"), await cookie("refresh")];
  const readable = await page.evaluate(() => JSON.stringify([document.cookie, { ...localStorage }, { ...sessionStorage }]));
  assert.ok(access && refresh && !readable.includes(access) && !readable.includes(refresh), "a script can read a token");

  const signedIn = await answerTo("{ afterSignIn: __typename }");
  assert.equal(signedIn["x-csrf-token"], await cookie("csrf"));
  assert.equal(signedIn.authorization, undefined);
  assert.match(signedIn.accept, /^application\/graphql-response\+json, application\/json/);
  assert.equal((await viewerOf(access)).data.viewer.email, "ada@example.com");

  await page.reload();
  await button("Sign out").waitFor();
  await page.locator(".graphiql-query-editor .monaco-editor .view-line").first().waitFor();
  await ready();
  await button("Sign out").click();
  await until(async () => (await status()) === "Not signed in", "the page says that nobody is signed in");
  const signedOut = await answerTo("{ afterSignOut: __typename }");
  assert.equal(signedOut["x-csrf-token"], undefined);
  assert.deepEqual(await context.cookies(), []);
  assert.equal((await viewerOf(access)).errors[0].extensions.code, "UNAUTHENTICATED", "the token works still");
});

test("where the browser keeps no cookies of this host, the token is in memory and ends with the page", async () => {
  await context.addInitScript(() => Object.defineProperty(Document.prototype, "cookie", { get: () => "", set: () => {} }));
  await page.reload();
  await page.locator(".graphiql-query-editor .monaco-editor .view-line").first().waitFor();
  await ready();
  await signIn();
  const { authorization } = await answerTo("{ withToken: __typename }");
  assert.match(authorization, /^Bearer ./);
  const kept = await page.evaluate(() => JSON.stringify([{ ...localStorage }, { ...sessionStorage }]));
  assert.ok(!kept.includes(authorization.slice(7)), "the token must not outlive the page");
  await button("Sign out").click();
  await until(async () => (await status()) === "Not signed in", "the page says that nobody is signed in");
  assert.equal((await viewerOf(authorization.slice(7))).errors[0].extensions.code, "UNAUTHENTICATED");
});

test("somebody signs in with an address and a password", async () => {
  await ready();
  await page.getByRole("button", { name: "Sign in", exact: true }).click();
  const dialog = page.getByRole("dialog", { name: "Sign in" });
  await dialog.getByLabel("E-mail address").fill("grace@example.com");
  await dialog.getByLabel("Password").fill("not the password");
  await dialog.getByLabel("Password").press("Enter");
  await dialog.getByRole("alert").filter({ hasText: "do not fit together" }).waitFor();
  await shot("sign-in");
  await dialog.getByLabel("Password").fill("tributary demo");
  await dialog.getByLabel("Password").press("Enter");
  await button("Sign out").waitFor();
  assert.equal(await page.locator(".identity").getAttribute("title"), "grace@example.com");
  assert.equal(await page.getByRole("dialog").count(), 0);
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

test("a subscription opens a WebSocket at the same address, which has the cookies", async () => {
  await ready();
  await signIn();
  await button(/^Live orders/).click();
  await run();
  await until(() => sockets[0]?.sent?.some(({ type }) => type === "subscribe"), "a subscription");
  assert.equal(sockets[0].url(), URL_OF_PAGE.replace(/^http/, "ws"));
  const { payload } = sockets[0].sent.find(({ type }) => type === "connection_init");
  assert.equal(payload.authorization, undefined);
  await until(async () => !(await response()).includes('"errors"') && sockets[0].received?.includes("connection_ack"), "let in");
  await shot("live-orders");
  await run();
  await until(() => sockets[0].isClosed(), "the socket closed after Stop");
});

test("a session that was ended elsewhere asks to sign in again", async () => {
  await ready();
  await signIn();
  await endElsewhere(await cookie("access"));
  await fill("operation.graphql", "{ viewer { email } }");
  await run();
  await until(async () => (await status()).includes("Sign in again"), "the page says that the session has ended");
  await shot("session-ended");
  await page.reload();
  await until(async () => (await status()) === "Not signed in", "the page has forgotten the session");
});

test("the session goes on for as long as a page is open, also when two of them renew it at the same moment", async () => {
  await context.clock.install();
  await page.reload();
  await signIn();
  const first = await cookie("access");
  const other = await context.newPage();
  const renewals = [];
  context.on("request", (request) => request.postData()?.includes("refreshSession") && renewals.push(request));
  await other.goto(URL_OF_PAGE);
  await other.getByRole("button", { name: "Sign out" }).waitFor();
  // The clock of the machine is fast from here on by more than a token lives.
  await context.clock.fastForward("45:00");
  await until(async () => renewals.length > 0 && (await cookie("access")) !== first, "a new access token");
  await until(async () => (await page.evaluate(() => navigator.locks.query())).held.length === 0, "an end of the renewal");
  await ready();
  for (const name of ["one", "two", "three"]) await answerTo(`{ ${name}: __typename }`);
  assert.ok(renewals.length <= 2, `${renewals.length} renewals: by its own clock each token has ended already`);
  assert.equal((await viewerOf(await cookie("access"))).data.viewer.email, "ada@example.com");
  for (const tab of [page, other]) assert.equal(await tab.getByRole("button", { name: "Sign out" }).count(), 1);

  await button("Sign out").click();
  await other.getByText("Not signed in").waitFor();
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
