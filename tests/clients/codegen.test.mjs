// GraphQL Code Generator's client preset on the committed schema, then TypeScript at its strictest on the outcome.
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { after, before, test } from "node:test";
import { preset } from "@graphql-codegen/client-preset";
import { codegen } from "@graphql-codegen/core";
import { buildSchema, isScalarType, isSpecifiedScalarType, parse } from "graphql";
import { GRAPHQL, signIn } from "./gateway.mjs";

const HERE = import.meta.dirname;
const PROJECT = mkdtempSync(join(tmpdir(), "tributary-codegen-"));
const SDL = readFileSync(join(HERE, "../../schema.graphql"), "utf8");
const CONSUMER = readFileSync(join(HERE, "codegen/consumer.ts"), "utf8");

/** All of the schema's own scalars are strings in JSON but these. */
const NO_STRINGS = { JSON: "unknown", Upload: "Blob" };

before(async () => {
  const schema = buildSchema(SDL);
  const own = Object.values(schema.getTypeMap()).filter((type) => isScalarType(type) && !isSpecifiedScalarType(type));
  const scalars = Object.fromEntries(own.map(({ name }) => [name, NO_STRINGS[name] ?? "string"]));
  const documents = [...CONSUMER.matchAll(/graphql\(`([^`]+)`\)/g)].map(([, rawSDL]) => {
    return { location: "consumer.ts", rawSDL, document: parse(rawSDL) };
  });
  const outputs = await preset.buildGeneratesSection({
    baseOutputDir: join(PROJECT, "generated/"),
    schema: parse(SDL),
    schemaAst: schema,
    documents,
    config: { scalars, strictScalars: true },
    presetConfig: { persistedDocuments: { hashAlgorithm: "sha256" } },
    plugins: [],
    pluginMap: {},
    pluginContext: {},
  });
  for (const output of outputs) {
    mkdirSync(dirname(output.filename), { recursive: true });
    writeFileSync(output.filename, await codegen(output));
  }
  writeFileSync(join(PROJECT, "consumer.ts"), CONSUMER);
  cpSync(join(HERE, "package.json"), join(PROJECT, "package.json"));
  symlinkSync(join(HERE, "node_modules"), join(PROJECT, "node_modules"));
});

after(() => rmSync(PROJECT, { recursive: true, force: true }));

test("what is generated passes strict type checking, and so does an application on it", () => {
  const options = ["--strict", "--noEmit", "--target", "es2022", "--module", "esnext", "--moduleResolution", "bundler"];
  const tsc = join(HERE, "node_modules/.bin/tsc");
  const { status, stdout } = spawnSync(tsc, [...options, "consumer.ts"], { cwd: PROJECT, encoding: "utf8" });
  assert.equal(status, 0, stdout);
});

test("the generated operations run, from then on by the hash in their manifest", async () => {
  const manifest = JSON.parse(readFileSync(join(PROJECT, "generated/persisted-documents.json"), "utf8"));
  const queries = Object.entries(manifest).filter(([, text]) => /\bquery\b/.test(text));
  assert.equal(queries.length, 2);
  const headers = { "content-type": "application/json", authorization: await signIn() };
  for (const [hash, query] of queries) {
    const extensions = { persistedQuery: { version: 1, sha256Hash: hash.replace(/^sha256:/, "") } };
    for (const text of [query, undefined]) {
      const body = JSON.stringify({ query: text, extensions, variables: { first: 3 } });
      const { data, errors } = await (await fetch(GRAPHQL, { method: "POST", headers, body })).json();
      assert.equal(errors, undefined, JSON.stringify(errors));
      assert.ok(Object.values(data)[0].nodes.length >= 3);
    }
  }
});
