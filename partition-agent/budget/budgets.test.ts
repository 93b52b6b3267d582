import assert from "node:assert/strict";
import { test } from "node:test";
import { create } from "@bufbuild/protobuf";
import { LocalNetworkSchema } from "#gen/holdfast/state/v1/budget_pb.ts";
import { openAgent, random } from "../testing/site.ts";
import { Budgets } from "./budgets.ts";

test("what central has adopted stays forgotten, also when all is told again at the same time", async () => {
  const { site } = await openAgent();
  const budgets = new Budgets({ site, random, changed: () => {} });
  // No budget lists it any more: it was adopted, and the agent died before it forgot it.
  await site.locals.putNetwork(create(LocalNetworkSchema, { budget: "b1", network: { id: "n1" } }));
  await Promise.all([budgets.tellAll(), budgets.keep()]);
  assert.deepEqual(site.locals.networks(), []);
});
