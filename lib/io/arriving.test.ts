import assert from "node:assert/strict";
import { test } from "node:test";
import { Arriving, ArrivingRequest } from "./arriving.ts";

test("what a request holds is given back once, when its message is whole or it is over", () => {
  const all = new Arriving(10);
  const [first, second] = [new ArrivingRequest(all, 60_000), new ArrivingRequest(all, 60_000)];
  first.take(6);
  assert.throws(() => second.take(5), /exceed 10 bytes together/);
  second.take(4);
  first.release();
  first.release();
  second.take(6);
  assert.throws(() => first.take(1), /exceed 10 bytes together/);
  for (const request of [first, second]) request.isHere();
});

test("a request that is here is waited for without a limit, and without a promise that grows", async () => {
  const request = new ArrivingRequest(new Arriving(10), 1);
  const never = new Promise<never>(() => {});
  await assert.rejects(request.inTime(never), /did not arrive within 1 ms/);
  const begun = new ArrivingRequest(new Arriving(10), 60_000);
  assert.notEqual(begun.inTime(never), never);
  begun.isHere();
  assert.equal(begun.inTime(never), never);
});
