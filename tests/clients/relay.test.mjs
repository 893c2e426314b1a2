// Relay: its compiler takes the committed schema, and its runtime pages and refetches.
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { cpSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { createClient } from "graphql-ws";
import WebSocket from "ws";
import { SOCKET, ask, signIn } from "./gateway.mjs";

const HERE = import.meta.dirname;
const PROJECT = mkdtempSync(join(tmpdir(), "tributary-relay-"));
const require = createRequire(join(PROJECT, "index.js"));
let relay;

before(() => {
  cpSync(join(HERE, "relay"), join(PROJECT, "src"), { recursive: true });
  mkdirSync(join(PROJECT, "artifacts"));
  cpSync(join(HERE, "../../schema.graphql"), join(PROJECT, "schema.graphql"));
  symlinkSync(join(HERE, "node_modules"), join(PROJECT, "node_modules"));
  writeFileSync(join(PROJECT, "package.json"), '{ "type": "commonjs" }');
  const config = { src: "src", schema: "schema.graphql", language: "javascript", artifactDirectory: "artifacts" };
  writeFileSync(join(PROJECT, "relay.config.json"), JSON.stringify({ ...config, eagerEsModules: false }));
  execFileSync(process.execPath, [require.resolve("relay-compiler/cli.js"), "--noWatchman"], { cwd: PROJECT, stdio: "pipe" });
  relay = require("relay-runtime");
});

after(() => rmSync(PROJECT, { recursive: true, force: true }));

const artifact = (name) => require(`./artifacts/${name}.graphql.js`);

/** A store with the network that an application gives it. */
function environment(authorization) {
  const socket = createClient({ url: SOCKET, webSocketImpl: WebSocket });
  const subscribe = ({ text }, variables) =>
    relay.Observable.create((sink) => socket.subscribe({ query: text, variables }, sink));
  const fetchText = async ({ text }, variables) => ask(text, variables, authorization);
  const network = relay.Network.create(fetchText, subscribe);
  return new relay.Environment({ network, store: new relay.Store(new relay.RecordSource()) });
}

const fetched = (store, query, variables = {}) => relay.fetchQuery(store, query, variables).toPromise();

/** What a component that is rendered by this query reads of this fragment. */
function read(store, query, fragment, from = (data) => data) {
  const { fragment: root } = relay.createOperationDescriptor(query, {});
  const reference = from(store.lookup(root).data);
  return store.lookup(relay.getSingularSelector(fragment, reference)).data;
}

/** Reads two more pages of a connection and gives the ids of all rows, which the store has put together. */
async function threePages(store, { query, fragment, pagination, field, variables = {}, from, way }) {
  store.retain(relay.createOperationDescriptor(query, {}));
  await fetched(store, query);
  for (let page = 2; page <= 3; page += 1) {
    const { pageInfo } = read(store, query, fragment, from)[field];
    assert.equal(pageInfo[way.more], true);
    await fetched(store, pagination, { ...variables, count: 4, cursor: pageInfo[way.place] });
  }
  return read(store, query, fragment, from)[field].edges.map(({ node }) => node.id);
}

const FORWARDS = { more: "hasNextPage", place: "endCursor" };
const BACKWARDS = { more: "hasPreviousPage", place: "startCursor" };

test("a @connection reads forwards, page by page, into one list", async () => {
  const names = ["operationsPromptsQuery", "operations_prompts", "operationsPromptsPagination"];
  const [query, fragment, pagination] = names.map(artifact);
  const ids = await threePages(environment(), { query, fragment, pagination, field: "prompts", way: FORWARDS });
  const whole = await ask("{ prompts(first: 12) { nodes { id } } }");
  assert.deepEqual(ids, whole.data.prompts.nodes.map(({ id }) => id));
});

test("a @connection below a node reads backwards through node(id:)", async () => {
  const authorization = await signIn("grace@example.com");
  const names = ["operationsBusinessesQuery", "operations_orders", "operationsOrdersPagination"];
  const [query, fragment, pagination] = names.map(artifact);
  const text = "{ businesses(first: 1, orderBy: { field: NAME }) { nodes { id orders(last: 12) { nodes { id } } } } }";
  const [business] = (await ask(text, {}, authorization)).data.businesses.nodes;
  const from = (data) => data.businesses.nodes[0];
  const variables = { id: business.id };
  const options = { query, fragment, pagination, field: "orders", from, variables, way: BACKWARDS };
  assert.deepEqual(
    await threePages(environment(authorization), options),
    business.orders.nodes.map(({ id }) => id),
  );
});

test("a row of a list is the record that node(id:) refetches", async () => {
  const store = environment();
  const query = artifact("operationsPromptsQuery");
  await fetched(store, query);
  const [{ node }] = read(store, query, artifact("operations_prompts")).prompts.edges;
  assert.equal(store.getStore().getSource().get(node.id).__typename, "Prompt");
  const again = await fetched(store, artifact("operationsNodeQuery"), { id: node.id });
  assert.deepEqual([again.node.__typename, again.node.id], ["Prompt", node.id]);
  const refetched = await fetched(store, artifact("operationsPromptRefetch"), { id: node.id });
  assert.equal(refetched.node.__id, node.id);
});

test("an id that names nothing is null and no error", async () => {
  for (const id of ["prm_00000000000000000000000000", "", "%", "Prompt:1", "x".repeat(10_000)]) {
    assert.deepEqual(await ask("query ($id: ID!) { node(id: $id) { id } }", { id }), { data: { node: null } }, id);
  }
});

test("a mutation puts its result into the store", async () => {
  const store = environment();
  const variables = { input: { email: "grace@example.com", password: "tributary demo" } };
  const mutation = artifact("operationsLoginMutation");
  const { login } = await new Promise((onCompleted, onError) =>
    relay.commitMutation(store, { mutation, variables, onCompleted, onError }),
  );
  assert.equal(store.getStore().getSource().get(login.session.user.id).email, "grace@example.com");
});

test("a subscription hands over each event", async () => {
  const beats = [];
  const subscription = artifact("operationsHeartbeatSubscription");
  const onNext = ({ heartbeat }) => beats.push(heartbeat);
  await new Promise((onCompleted, onError) =>
    relay.requestSubscription(environment(), { subscription, variables: { count: 3 }, onNext, onCompleted, onError }),
  );
  assert.deepEqual(beats, [1, 2, 3]);
});
