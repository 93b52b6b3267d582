import assert from "node:assert/strict";
import { afterEach, beforeEach, test } from "node:test";
import { create } from "@bufbuild/protobuf";
import { IPSchema } from "#gen/metalstack/api/v2/ip_pb.ts";
import { ipIndexes } from "../ip/indexes.ts";
import { type TestCentral, testCentral } from "../testing/central.ts";
import { kinds } from "./kinds.ts";
import { firstLabel, type Hint, narrowed } from "./narrow.ts";

let central: TestCentral;
beforeEach(async () => {
  central = await testCentral();
});
afterEach(() => central.close());

test("the first index that a query has a key for names the rows; without one it is all of them", async () => {
  const { state } = central;
  const rows = [
    { ip: "10.0.0.1", project: "p", network: "n", labels: { tier: "web", "a\u0000b": "c" } },
    { ip: "10.0.0.2", project: "p", network: "m", labels: { tier: "db" } },
    { ip: "10.0.0.3", project: "q", network: "n", labels: {} },
  ];
  await state.transact((tx) => {
    for (const { labels, ...ip } of rows)
      tx.put(kinds.ip, `/${ip.ip}`, create(IPSchema, { ...ip, meta: { labels: { labels } } }));
  });
  const { byLabel, byProject, byNetwork } = ipIndexes(state);
  const found = (...hints: Hint<typeof kinds.ip>[]) => narrowed(state, kinds.ip, hints).map((row) => row.value.ip);
  assert.deepEqual(found(), ["10.0.0.1", "10.0.0.2", "10.0.0.3"]);
  assert.deepEqual(found([byProject, undefined], [byNetwork, "n"]), ["10.0.0.1", "10.0.0.3"]);
  assert.deepEqual(found([byProject, "p"], [byNetwork, "n"]), ["10.0.0.1", "10.0.0.2"]);
  const labelled = (labels: Record<string, string>) =>
    found([byLabel, firstLabel({ $typeName: "metalstack.api.v2.Labels", labels })]);
  assert.deepEqual([labelled({ tier: "db" }), labelled({ tier: "mail" })], [["10.0.0.2"], []]);
  assert.deepEqual([labelled({ "a\u0000b": "c" }), labelled({ a: "b\u0000c" })], [["10.0.0.1"], []]);
  assert.equal(labelled({}).length, 3);
});
