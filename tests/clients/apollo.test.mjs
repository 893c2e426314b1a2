// Apollo Client: its normalised cache, its pages of Relay's style, its subscriptions, its persisted queries.
import assert from "node:assert/strict";
import { createHash, randomUUID } from "node:crypto";
import { test } from "node:test";
import { ApolloClient, CombinedGraphQLErrors, HttpLink, InMemoryCache, gql } from "@apollo/client";
import { PersistedQueryLink } from "@apollo/client/link/persisted-queries";
import { GraphQLWsLink } from "@apollo/client/link/subscriptions";
import { relayStylePagination } from "@apollo/client/utilities";
import { createClient } from "graphql-ws";
import WebSocket from "ws";
import { GRAPHQL, SOCKET, signIn, until } from "./gateway.mjs";

const PAGE = gql`
  query Prompts($first: Int, $after: String, $last: Int, $before: String) {
    prompts(first: $first, after: $after, last: $last, before: $before) {
      edges { cursor node { id title } }
      pageInfo { hasNextPage hasPreviousPage startCursor endCursor }
    }
  }
`;

const cache = () => new InMemoryCache({ typePolicies: { Query: { fields: { prompts: relayStylePagination() } } } });
const client = (link = new HttpLink({ uri: GRAPHQL })) => new ApolloClient({ link, cache: cache() });
const ids = ({ data }) => data.prompts.edges.map(({ node }) => node.id);

/** A link that counts what it sends. */
function counting() {
  const sent = [];
  const link = new HttpLink({
    uri: GRAPHQL,
    fetch(uri, options) {
      sent.push(JSON.parse(options.body));
      return fetch(uri, options);
    },
  });
  return { link, sent };
}

test("what was read once comes from the cache", async () => {
  const { link, sent } = counting();
  const apollo = client(link);
  const query = gql`{ platforms { key name } }`;
  const first = await apollo.query({ query });
  assert.deepEqual((await apollo.query({ query })).data, first.data);
  assert.equal(sent.length, 1);
});

test("a list and node(id:) share one entity in the cache", async () => {
  const apollo = client();
  const [id] = ids(await apollo.query({ query: PAGE, variables: { first: 1 } }));
  const query = gql`query ($id: ID!) { node(id: $id) { id ... on Prompt { slug } } }`;
  await apollo.query({ query, variables: { id } });
  const { slug, title } = apollo.cache.extract()[`Prompt:${id}`];
  assert.ok(slug && title);
});

test("a mutation's result is an entity too", async () => {
  const apollo = client();
  const mutation = gql`mutation ($input: LoginInput!) { login(input: $input) { session { id user { id email } } } }`;
  const input = { email: "grace@example.com", password: "tributary demo" };
  const { id } = (await apollo.mutate({ mutation, variables: { input } })).data.login.session.user;
  assert.equal(apollo.cache.extract()[`User:${id}`].email, input.email);
});

for (const [way, size, cursor, place, more] of [
  ["forwards", "first", "after", "endCursor", "hasNextPage"],
  ["backwards", "last", "before", "startCursor", "hasPreviousPage"],
]) {
  test(`three pages, read ${way}, become one list`, async (t) => {
    const apollo = client();
    const pages = apollo.watchQuery({ query: PAGE, variables: { [size]: 4 } });
    await new Promise((read) => {
      const watching = pages.subscribe(({ loading }) => loading || read());
      t.after(() => watching.unsubscribe());
    });
    for (let page = 2; page <= 3; page += 1) {
      const { pageInfo } = pages.getCurrentResult().data.prompts;
      assert.equal(pageInfo[more], true);
      await pages.fetchMore({ variables: { [size]: 4, [cursor]: pageInfo[place] } });
      await until(() => ids(pages.getCurrentResult()).length === 4 * page); // those who watch are told a moment later
    }
    const whole = await apollo.query({ query: PAGE, variables: { [size]: 12 }, fetchPolicy: "no-cache" });
    assert.equal(whole.data.prompts.edges.length, 12);
    assert.deepEqual(ids(pages.getCurrentResult()), ids(whole));
  });
}

test("a subscription over WebSocket carries the token in its connectionParams", async (t) => {
  const connectionParams = async () => ({ authorization: await signIn("grace@example.com") });
  const socket = createClient({ url: SOCKET, webSocketImpl: WebSocket, connectionParams });
  t.after(() => socket.dispose());
  const query = gql`subscription { viewerHeartbeat(count: 3, intervalMs: 10) { id email } }`;
  const seen = [];
  await new Promise((complete, error) => {
    const next = ({ data }) => seen.push(data.viewerHeartbeat.email);
    client(new GraphQLWsLink(socket)).subscribe({ query }).subscribe({ next, complete, error });
  });
  assert.deepEqual(seen, Array(3).fill("grace@example.com"));
});

test("errors are GraphQL errors, with what data there is beside them", async () => {
  await assert.rejects(client().query({ query: gql`{ nope }` }), CombinedGraphQLErrors.is);
  const query = gql`{ echo(text: "here") viewer { id } }`;
  const { data, error } = await client().query({ query, errorPolicy: "all" });
  assert.equal(data.echo, "here");
  assert.equal(error.errors[0].extensions.code, "UNAUTHENTICATED");
});

test("a persisted query sends its text once, whoever asks later", async () => {
  const query = gql(`{ platforms { p${randomUUID().replaceAll("-", "")}: name } }`);
  const sha256 = (text) => createHash("sha256").update(text).digest("hex");
  const ask = async () => {
    const { link, sent } = counting();
    const { data } = await client(new PersistedQueryLink({ sha256 }).concat(link)).query({ query });
    assert.ok(data.platforms.length > 0);
    return sent.map((body) => "query" in body);
  };
  assert.deepEqual(await ask(), [false, true]);
  assert.deepEqual(await ask(), [false]);
});
