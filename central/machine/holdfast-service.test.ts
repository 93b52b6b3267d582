import assert from "node:assert/strict";
import { afterEach, beforeEach, describe, test } from "node:test";
import { Code, ConnectError } from "@connectrpc/connect";
import { MachineService, type WatchResponse } from "#gen/holdfast/api/v1/machine_pb.ts";
import {
  MachineService as ApiMachineService,
  MachineProvisioningEventType as Event,
} from "#gen/metalstack/api/v2/machine_pb.ts";
import { TokenService } from "#gen/metalstack/api/v2/token_pb.ts";
import { kinds } from "../store/kinds.ts";
import { aWaiting, first, type MachineCentral, machineCentral, machineUuid } from "../testing/machines.ts";

let central: MachineCentral;
let leave: AbortController;
beforeEach(async () => {
  central = await machineCentral();
  leave = new AbortController();
});
afterEach(async () => {
  leave.abort();
  await central.close();
});

const uuid = machineUuid(1);
const refusedWith = (code: Code) => (e: unknown) => e instanceof ConnectError && e.code === code;
const watch = (request: object, token?: string) =>
  central.client(MachineService, token).watch(request, { signal: leave.signal })[Symbol.asyncIterator]();
const shown = ({ machine, deleted, initialDone }: WatchResponse) =>
  initialDone ? "done" : `${deleted ? "gone " : ""}${machine?.uuid.at(-1)}`;
async function next(stream: AsyncIterator<WatchResponse>, count: number): Promise<string[]> {
  const seen: string[] = [];
  for (let i = 0; i < count; i++) seen.push(shown((await stream.next()).value as WatchResponse));
  return seen;
}

describe("Watch", () => {
  test("shows every machine once, says so, and then each change as it comes", async () => {
    await central.waiting(2);
    const stream = watch({});
    assert.deepEqual(await next(stream, 3), ["1", "2", "done"]);
    await central.report({ ...aWaiting(machineUuid(2)), rack: "rack9" });
    const { value } = await stream.next();
    assert.deepEqual([value?.machine?.uuid, value?.machine?.rack], [machineUuid(2), "rack9"]);
  });

  test("of a project shows what enters the project and what leaves it, and nothing else", async () => {
    await central.waiting(2);
    const stream = watch({ project: central.project });
    assert.deepEqual(await next(stream, 1), ["done"]);
    await central.create({ uuid });
    assert.deepEqual(await next(stream, 1), ["1"]);
    await central.report(aWaiting(machineUuid(2)));
    await central.client(ApiMachineService).delete({ uuid, project: central.project });
    assert.deepEqual(await next(stream, 1), ["gone 1"]);
  });

  test("of one machine shows that one", async () => {
    await central.waiting(2);
    const got = await first(central.client(MachineService).watch({ uuid: machineUuid(2) }), 2);
    assert.deepEqual(got.map(shown), ["2", "done"]);
  });

  test("is for the project's members and for administrators", async () => {
    const token = await central.tokenFor("stranger");
    await assert.rejects(watch({}, token).next(), refusedWith(Code.PermissionDenied));
    await assert.rejects(watch({ project: central.project }, token).next(), refusedWith(Code.PermissionDenied));
  });

  test("ends with the next change when its token is revoked", async () => {
    await central.waiting(1);
    const token = central.ownerToken;
    const stream = watch({ project: central.project }, token);
    assert.deepEqual(await next(stream, 1), ["done"]);
    const { tokens } = await central.client(TokenService, token).list({});
    await central.client(TokenService, token).revoke({ uuid: tokens[0]!.uuid });
    await central.create();
    await assert.rejects(stream.next(), refusedWith(Code.Unauthenticated));
  });

  test("ends when central closes", async () => {
    const stream = watch({});
    assert.deepEqual(await next(stream, 1), ["done"]);
    const ended = stream.next();
    await central.close();
    assert.equal((await ended).done, true);
  });
});

describe("Explain", () => {
  const explain = (request: object) => central.client(MachineService).explain(request);

  test("says what a machine waits for, what it did last, and whether its agent is connected", async () => {
    await central.waiting(1);
    await central.create();
    await central.report({
      ...aWaiting(uuid),
      progress: { why: "the installation to finish", next: "the machine is installed" },
      events: { events: [{ event: Event.WAITING }, { event: Event.INSTALLING }] },
      lastFailure: "wipe: sda",
      installedEpoch: 2n,
      installations: 1,
      bmc: { powerState: "on" },
    });
    const told = await explain({ uuid, project: central.project });
    assert.deepEqual(
      [told.progress?.why, told.lastEvent, told.epoch, told.installations, told.powerState, told.lastFailure],
      ["the installation to finish", Event.INSTALLING, 2n, 1, "on", "wipe: sda"],
    );
    assert.equal(told.linkUp, true);
    await central.cutLink();
    assert.equal((await explain({ uuid })).linkUp, false);
  });

  test("counts no installation of an earlier epoch", async () => {
    await central.waiting(1, { installedEpoch: 1n, installations: 1 });
    await central.state.transact((tx) => {
      tx.put(kinds.machineDesired, uuid, { ...tx.get(kinds.machineDesired, uuid)!, epoch: 5n });
    });
    assert.equal((await explain({ uuid })).installations, 0);
  });

  test("knows nothing of another project's machine, nor of one that is not there", async () => {
    await central.waiting(1);
    await assert.rejects(explain({ uuid, project: central.project }), refusedWith(Code.NotFound));
    await assert.rejects(explain({ uuid: machineUuid(9) }), refusedWith(Code.NotFound));
  });
});
