// urql, which says on each request that it also takes text/event-stream.
import assert from "node:assert/strict";
import { test } from "node:test";
import { Client, cacheExchange, fetchExchange } from "@urql/core";
import { GRAPHQL, signIn } from "./gateway.mjs";

/** A client whose requests and answers' media types are kept in `wire`. */
function client(options) {
  const wire = [];
  const recorded = async (address, init) => {
    const response = await fetch(address, init);
    wire.push({ accept: init.headers.accept, method: init.method, type: response.headers.get("content-type") });
    return response;
  };
  const exchanges = [cacheExchange, fetchExchange];
  return { urql: new Client({ url: GRAPHQL, exchanges, fetch: recorded, ...options }), wire };
}

test("a query and a mutation are answered with JSON, although a stream would be taken", async () => {
  const { urql, wire } = client({ preferGetMethod: false });
  const { data } = await urql.query("query ($text: String!) { echo(text: $text) }", { text: "a\r\nb" });
  assert.deepEqual(data, { echo: "a\r\nb" });
  const login = "mutation ($input: LoginInput!) { login(input: $input) { session { id } userErrors { message } } }";
  const input = { email: "ada@example.com", password: "wrong" };
  assert.equal((await urql.mutation(login, { input })).data.login.session, null);
  for (const { accept, type } of wire) {
    assert.match(accept, /text\/event-stream/);
    assert.match(type, /^application\/graphql-response\+json/);
  }
  assert.equal(wire.length, 2);
});

test("a query may come by GET", async () => {
  const { urql, wire } = client({ preferGetMethod: "force" });
  assert.equal((await urql.query("{ echo(text: \"x\") }", {})).data.echo, "x");
  assert.equal(wire[0].method, "GET");
});

test("a subscription comes as events over fetch, with the token in its headers", async () => {
  const authorization = await signIn("grace@example.com");
  const { urql, wire } = client({ fetchSubscriptions: true, fetchOptions: { headers: { authorization } } });
  const beats = [];
  await new Promise((complete) => {
    const query = "subscription { viewerHeartbeat(count: 3, intervalMs: 10) { email } }";
    urql.subscription(query, {}).subscribe(({ data, error, hasNext }) => {
      if (error) beats.push(error.message);
      else if (data) beats.push(data.viewerHeartbeat.email);
      if (beats.length === 3 || error || hasNext === false) complete();
    });
  });
  assert.deepEqual(beats, Array(3).fill("grace@example.com"));
  assert.match(wire[0].type, /^text\/event-stream/);
});

test("an error of the document is a GraphQL error, not one of the network", async () => {
  const { error } = await client().urql.query("{ nope }", {});
  assert.equal(error.networkError, undefined);
  assert.equal(error.graphQLErrors[0].extensions.code, "GRAPHQL_VALIDATION_FAILED");
});
