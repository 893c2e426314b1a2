// The pages that links in mails lead to, as a person meets them in Chromium.
//
//   TRIBUTARY_URL=http://127.0.0.1:8000/graphql TRIBUTARY_MAIL=var/mail npm test
//
// The gateway is in demo mode with REGISTRATION=confirmed. CHROMIUM and SHOTS as in graphiql.test.mjs.
import assert from "node:assert/strict";
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { after, afterEach, before, beforeEach, test } from "node:test";
import { chromium } from "playwright-core";
import { linkFor } from "./mail.mjs";

const API = process.env.TRIBUTARY_URL ?? "http://127.0.0.1:8000/graphql";
const { origin } = new URL(API);
const PAGES = ["confirm", "reset-password", "accept-invitation", "link-identity"];
const FIRST = "seven slow rivers meet";
const SECOND = "a kettle hums at dawn";
const SHOTS = process.env.SHOTS;
if (SHOTS) mkdirSync(SHOTS, { recursive: true });

let browser, context, page, posts, complaints;

before(async () => {
  browser = await chromium.launch({
    executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium",
    args: ["--no-sandbox", "--disable-gpu", "--disable-background-networking"],
  });
});

after(() => browser?.close());

beforeEach(async () => {
  context = await browser.newContext({ viewport: { width: 900, height: 760 }, reducedMotion: "reduce" });
  context.setDefaultTimeout(15_000);
  page = await context.newPage();
  [posts, complaints] = [[], []];
  page.on("request", (request) => request.method() === "POST" && posts.push(request));
  page.on("pageerror", (error) => complaints.push(error.message));
  page.on("console", (message) => message.type() === "error" && complaints.push(message.text()));
});

afterEach(async () => {
  await context.close();
  assert.deepEqual(complaints, [], "the browser's console shows errors");
});

const shot = (name) => SHOTS && page.screenshot({ path: join(SHOTS, `account-${name}.png`) });
const heading = (text) => page.getByRole("heading", { name: text }).waitFor();
const button = (name) => page.getByRole("button", { name, exact: true });
const somebody = () => `reader-${Math.random().toString(36).slice(2)}@example.com`;

async function ask(query, input, token) {
  const headers = { "content-type": "application/json", ...(token && { authorization: `Bearer ${token}` }) };
  const response = await fetch(API, { method: "POST", headers, body: JSON.stringify({ query, variables: { input } }) });
  const { data, errors } = await response.json();
  assert.equal(errors, undefined, JSON.stringify(errors));
  return Object.values(data)[0];
}

async function signIn(email, password) {
  const query = "mutation ($input: LoginInput!) { login(input: $input) { session { accessToken organization { name } } } }";
  return (await ask(query, { email, password })).session;
}

async function register(email) {
  const query = "mutation ($input: RegisterInput!) { register(input: $input) { session { id } userErrors { message } } }";
  const input = { email, password: FIRST, name: "Rosa Reader", organizationName: "Reading Room" };
  assert.deepEqual(await ask(query, input), { session: null, userErrors: [] });
}

async function invite(email) {
  const { accessToken } = await signIn("ada@example.com", "tributary demo");
  const query = "mutation ($input: InviteMemberInput!) { inviteMember(input: $input) { userErrors { message } } }";
  assert.deepEqual(await ask(query, { email, role: "MEMBER" }, accessToken), { userErrors: [] });
}

/** Opens a link as from a mailbox. Nothing may happen yet: scanners of mail open links too. */
async function follow(link, title) {
  await page.goto("about:blank");
  const sent = posts.length;
  await page.goto(link);
  await heading(title);
  assert.equal(page.url(), link.split("#")[0], "the token stays in the address bar");
  assert.equal(posts.slice(sent).filter((post) => post.postData().includes("mutation")).length, 0);
}

test("somebody registers, follows the link in the mail, and is in", async () => {
  const email = somebody();
  await register(email);
  const link = await linkFor(email, "confirm");
  assert.equal(await signIn(email, FIRST), null);
  await follow(link, "Finish your registration");
  await page.getByLabel("Password").fill("not what they chose");
  await button("Finish registration").click();
  await page.getByText("Give the password that you have chosen").waitFor();
  await page.getByLabel("Password").fill(FIRST);
  await button("Finish registration").click();
  await heading("Your account is ready");
  assert.equal((await signIn(email, FIRST)).organization.name, "Reading Room");
  const kept = await page.evaluate(() => [document.cookie, localStorage.length, sessionStorage.length]);
  assert.deepEqual(kept, ["", 0, 0]);
});

test("somebody forgets their password and gets a new one, with the keyboard alone", async () => {
  const email = somebody();
  await register(email);
  await follow(await linkFor(email, "confirm"), "Finish your registration");
  await page.getByLabel("Password").fill(FIRST);
  await page.keyboard.press("Enter");
  await heading("Your account is ready");

  await page.getByRole("link", { name: "Sign in" }).press("Enter");
  await button("Sign in").press("Enter");
  await page.getByRole("link", { name: "Forgot your password?" }).press("Enter");
  await heading("Forgot your password?");
  await page.keyboard.press("Tab");
  await page.keyboard.type(email);
  await page.keyboard.press("Enter");
  await heading("Look into your mailbox");
  await shot("requested");

  const link = await linkFor(email, "reset-password");
  await follow(link, "Choose a new password");
  await page.keyboard.press("Tab");
  await page.keyboard.type("short");
  await page.keyboard.press("Tab");
  await page.keyboard.press("Enter"); // shows what was typed
  assert.equal(await page.getByLabel("New password").getAttribute("type"), "text");
  await page.getByLabel("New password").press("Enter");
  await page.getByText("Choose a password of at least").waitFor();
  const field = page.getByLabel("New password");
  assert.equal(await field.getAttribute("aria-invalid"), "true");
  assert.ok(await field.evaluate((input) => input === document.activeElement), "the field to mend has the focus");
  await shot("too-short");
  await field.fill(SECOND);
  await field.press("Enter");
  await heading("Your password is changed");
  await shot("changed");
  assert.ok(await page.evaluate(() => document.activeElement.matches("h1")), "nobody hears that the page has changed");

  await page.getByRole("link", { name: "Sign in" }).press("Enter");
  await button("Sign in").click();
  const dialog = page.getByRole("dialog");
  await dialog.getByLabel("E-mail address").fill(email);
  await dialog.getByLabel("Password").fill(FIRST);
  await dialog.getByLabel("Password").press("Enter");
  await dialog.getByText("do not fit together").waitFor();
  await dialog.getByLabel("Password").fill(SECOND);
  await dialog.getByLabel("Password").press("Enter");
  await button("Sign out").waitFor();

  await follow(link, "Choose a new password");
  await page.getByLabel("New password").fill("something else again");
  await page.keyboard.press("Enter");
  await heading("This link no longer works");
  await page.getByLabel("E-mail address").waitFor(); // for another one
  assert.notEqual(await signIn(email, SECOND), null);
});

test("who is invited and new makes an account with the invitation", async () => {
  const email = somebody();
  await invite(email);
  const link = await linkFor(email, "accept-invitation");
  await follow(link, "Join an organization");
  await page.getByLabel("Your name").fill("Nils New");
  await page.getByLabel("Password").fill(FIRST);
  await button("Make my account and join").click();
  await heading("You have joined Lakeside Collective");
  assert.equal((await signIn(email, FIRST)).organization.name, "Lakeside Collective");

  await follow(link, "Join an organization");
  await page.getByLabel("Your name").fill("Nils New");
  await page.getByLabel("Password").fill(FIRST);
  await button("Make my account and join").click();
  await heading("This invitation no longer holds");
});

test("who is invited and has an account joins with its password, whoever is signed in", async () => {
  await page.goto(API);
  await button("Sign in as Ada (owner)").click();
  await button("Sign out").waitFor();
  await invite("grace@example.com");
  await follow(await linkFor("grace@example.com", "accept-invitation"), "Join an organization");
  await page.getByText("You are signed in as ada@example.com.").waitFor();
  await button("Join").click();
  await page.getByRole("alert").filter({ hasText: "somebody else than was invited" }).waitFor();
  await shot("somebody-else");
  await button("Join with another account").click();
  await button("I have an account").click();
  await page.getByLabel("Your password").fill("tributary demo");
  await button("Sign in and join").click();
  await heading("You have joined Lakeside Collective");
  await page.goto(API);
  await page.locator(".identity[title='ada@example.com']").waitFor(); // is signed in as before
});

test("who is invited and signed in joins with one click", async () => {
  await page.goto(API);
  await button("Sign in as Ada (owner)").click();
  await button("Sign out").waitFor();
  const { accessToken } = await signIn("grace@example.com", "tributary demo");
  const query = "mutation ($input: InviteMemberInput!) { inviteMember(input: $input) { userErrors { message } } }";
  assert.deepEqual(await ask(query, { email: "ada@example.com", role: "VIEWER" }, accessToken), { userErrors: [] });
  await follow(await linkFor("ada@example.com", "accept-invitation"), "Join an organization");
  await button("Join").click();
  await page.getByRole("heading", { name: /^You have joined / }).waitFor();
});

test("a link that was never made works on no page, and each says what to do", async () => {
  const next = { confirm: /register again/, "reset-password": /Ask for a new one/, "accept-invitation": /ask whoever invited you/ };
  for (const name of PAGES) {
    await page.goto("about:blank");
    await page.goto(`${origin}/account/${name}#token=${"n0-such_token".padEnd(43, "x")}`);
    await page.locator("form").waitFor();
    for (const input of await page.locator("input").all()) await input.fill(FIRST);
    await page.locator("[type=submit]").click();
    await page.getByRole("heading", { name: /no longer/ }).waitFor();
    assert.match(await page.locator("main").innerText(), next[name] ?? /a new mail comes/);
    assert.ok(!(await page.content()).includes("n0-such_token"));
    await shot(`over-${name}`);
  }
});

test("a link that was cut off says so, and the next one works in the same tab", async () => {
  for (const name of PAGES.filter((each) => each !== "reset-password")) {
    await page.goto(`${origin}/account/${name}`);
    await heading("Something is missing here");
  }
  await page.goto(`${origin}/account/confirm`);
  await page.evaluate(() => (location.hash = "#token=abc"));
  await heading("Finish your registration");
  assert.equal(page.url(), `${origin}/account/confirm`);
});

test("the page says when the server cannot be reached, and keeps what was typed", async () => {
  await page.goto(`${origin}/account/reset-password#token=abc`);
  await page.getByLabel("New password").fill(FIRST);
  await context.setOffline(true);
  await button("Set the new password").click();
  await page.getByRole("alert").filter({ hasText: "cannot be reached" }).waitFor();
  assert.equal(await page.getByLabel("New password").inputValue(), FIRST);
  complaints.length = 0; // the browser's own, about the connection
});

test("the pages fit a narrow screen, and follow a dark one", async () => {
  await page.setViewportSize({ width: 320, height: 640 });
  await page.emulateMedia({ colorScheme: "dark" });
  for (const name of PAGES) {
    await page.goto("about:blank");
    await page.goto(`${origin}/account/${name}#token=abc`);
    await page.locator("form").waitFor();
    await shot(`narrow-dark-${name}`);
    assert.equal(await page.evaluate(() => document.documentElement.scrollWidth), 320, `${name} scrolls sideways`);
    assert.equal(await page.evaluate(() => getComputedStyle(document.body).backgroundColor), "rgb(17, 24, 31)");
  }
});
