import assert from "node:assert/strict";
import { test } from "node:test";
import { Connections } from "./connections.ts";

test("a partition is up while its agent has a stream open, however many times it opens and leaves one", () => {
  const connections = new Connections();
  const [first, second] = [connections.enter("p1", "life-1"), connections.enter("p1", "life-1")];
  first();
  first();
  assert.ok(connections.isUp("p1"));
  second();
  assert.ok(!connections.isUp("p1"));
});

test("a second life beside the first is refused and remembered; after the first has left it may come", () => {
  const connections = new Connections();
  const leave = connections.enter("p1", "life-1");
  assert.throws(
    () => connections.enter("p1", "life-2"),
    /another agent is connected under this identity \(life life-1\)/,
  );
  assert.ok(connections.hasClone("p1"));
  connections.enter("p2", "life-2");
  leave();
  connections.enter("p1", "life-2");
  assert.ok(connections.isUp("p1") && !connections.hasClone("p1"));
});
