// The gateway under test, as somebody without a client library uses it.
import assert from "node:assert/strict";
import { setTimeout as sleep } from "node:timers/promises";

export const GRAPHQL = process.env.TRIBUTARY_URL ?? "http://127.0.0.1:8000/graphql";
export const SOCKET = GRAPHQL.replace(/^http/, "ws");

/** The parsed answer to one operation; `authorization` is the header of that name. */
export async function ask(query, variables, authorization) {
  const response = await fetch(GRAPHQL, {
    method: "POST",
    headers: { "content-type": "application/json", ...(authorization && { authorization }) },
    body: JSON.stringify({ query, variables }),
  });
  return response.json();
}

/** The data of an operation that has no errors. */
export async function dataOf(...operation) {
  const { data, errors } = await ask(...operation);
  assert.equal(errors, undefined, JSON.stringify(errors));
  return data;
}

const LOGIN = "mutation ($input: LoginInput!) { login(input: $input) { session { accessToken } } }";

/** The `authorization` of a person of the demo data. */
export async function signIn(email = "ada@example.com") {
  const { login } = await dataOf(LOGIN, { input: { email, password: "tributary demo" } });
  return `Bearer ${login.session.accessToken}`;
}

/** How many subscriptions are open. */
export async function live() {
  return (await (await fetch(new URL("/healthz", GRAPHQL))).json()).live;
}

/** Waits until `condition` holds; the time limit of the test ends the wait when it never does. */
export async function until(condition) {
  while (!(await condition())) await sleep(20);
}
