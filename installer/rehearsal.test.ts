import { test } from "node:test";
import { transportOver } from "./io/http-client.ts";
import { rehearse } from "./rehearsal.ts";

test("the rehearsal goes through a whole life, up to the start of the new kernel", async () => {
  await rehearse(transportOver);
});
