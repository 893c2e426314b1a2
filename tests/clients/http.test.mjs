// The audits of the GraphQL over HTTP working group, optional ones too.
import assert from "node:assert/strict";
import { test } from "node:test";
import { serverAudits } from "graphql-http";
import { GRAPHQL } from "./gateway.mjs";

const audits = serverAudits({ url: GRAPHQL, fetchFn: fetch });

test("there are audits", () => assert.ok(audits.length >= 61));

for (const audit of audits) {
  test(audit.name, async () => {
    const { status, reason, response } = await audit.fn();
    if (response && !response.bodyUsed) await response.body?.cancel();
    assert.equal(status, "ok", reason);
  });
}
