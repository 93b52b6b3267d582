import assert from "node:assert/strict";
import { afterEach, beforeEach, test } from "node:test";
import { Code, ConnectError, createClient, createRouterTransport } from "@connectrpc/connect";
import { MachineService } from "#gen/holdfast/api/v1/machine_pb.ts";
import type { AuditTrace } from "#gen/metalstack/api/v2/audit_pb.ts";
import { systemRandom as random } from "#lib/io/system-random.ts";
import { silentLog as log } from "#lib/log.ts";
import { Refusal } from "#lib/refusal.ts";
import { refusals } from "#lib/rpc/refusal-to-connect.ts";
import { access } from "../access/interceptor.ts";
import { ruleOf } from "../access/rule.ts";
import { type TestCentral, testCentral } from "../testing/central.ts";
import { auditing } from "./interceptor.ts";
import { Recorder } from "./recorder.ts";
import { traceLabels } from "./trace.ts";

const project = "0f86b3b0-5a8c-4a0e-9d5a-3a0f6a0f9d11";
const rule = { ...ruleOf(MachineService.method.watch), isAudited: true };
const rules = new Map([[rule.method, rule]]);

let central: TestCentral;
let told: AuditTrace[];
beforeEach(async () => {
  central = await testCentral();
  told = [];
});
afterEach(() => central.close());

/** A stream of so many messages that then ends, or fails. */
const watch = (messages: number, failure?: Error) => {
  const { state, clock, identity } = central;
  const retention = { keepMs: 1, bytesMax: 1 };
  const recorder = new Recorder({ state, clock, log, retention, tell: (trace) => told.push(trace) });
  const { around, begun } = auditing({ rules, recorder, state, clock, random, log });
  const open = access({ rules, open: new Set(), authenticate: (shown) => identity.callerOf(shown.authorization) });
  const transport = createRouterTransport(
    (router) =>
      router.service(MachineService, {
        async *watch() {
          for (let n = 0; n < messages; n++) yield { initialDone: true };
          if (failure) throw failure;
        },
      }),
    { router: { interceptors: [around, refusals({ log, random }), open, begun] } },
  );
  const headers = { authorization: `Bearer ${central.adminToken}` };
  return (more: object = { headers }) => createClient(MachineService, transport).watch({ project }, more);
};
const read = async (stream: AsyncIterable<unknown>) => {
  let count = 0;
  for await (const _ of stream) count++;
  return count;
};
const ends = () => told.map((t) => [t.phase, t.resultCode, t.meta?.labels?.labels[traceLabels.messages]]);

test("a stream has a trace with its request when it begins, and one when it has ended, with the number of its messages", async () => {
  assert.equal(await read(watch(3)()), 3);
  assert.deepEqual(ends(), [
    [1, undefined, undefined],
    [2, 0, "3"],
  ]);
  assert.equal(JSON.parse(told[0]!.body!).project, project);
  assert.deepEqual([told[0]!.user, told[1]!.body], ["admin", undefined]);
});

test("a stream that fails has the code, and what it had sent by then", async () => {
  await assert.rejects(read(watch(2, new Refusal("exhausted", "too slow"))()));
  assert.deepEqual(ends()[1], [2, Code.ResourceExhausted, "2"]);
});

test("a stream that is refused has it written down without its request, which nobody has looked at", async () => {
  await assert.rejects(read(watch(1)({})), (e) => e instanceof ConnectError && e.code === Code.Unauthenticated);
  assert.deepEqual(
    told.map((t) => [t.phase, t.resultCode, t.body && JSON.parse(t.body).code]),
    [
      [1, undefined, undefined],
      [2, Code.Unauthenticated, "Unauthenticated"],
    ],
  );
});
