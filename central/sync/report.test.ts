import assert from "node:assert/strict";
import { afterEach, beforeEach, describe, test } from "node:test";
import { create, type MessageInitShape, toBinary } from "@bufbuild/protobuf";
import { StringValueSchema } from "@bufbuild/protobuf/wkt";
import { Code, ConnectError } from "@connectrpc/connect";
import { machineLabel } from "#domain/ip/machine-label.ts";
import { AgentLifeSchema } from "#gen/holdfast/state/v1/cursor_pb.ts";
import { MachineDesiredSchema, MachineObservedSchema } from "#gen/holdfast/state/v1/machine_pb.ts";
import { ConsolePasswordSchema } from "#gen/holdfast/state/v1/secret_pb.ts";
import { type ReportEntry, ReportRequestSchema, SyncService } from "#gen/holdfast/sync/v1/sync_pb.ts";
import { PartitionService as AdminPartitionService } from "#gen/metalstack/admin/v2/partition_pb.ts";
import { AuditPhase, AuditTraceSchema } from "#gen/metalstack/api/v2/audit_pb.ts";
import { ServiceStatus } from "#gen/metalstack/api/v2/health_pb.ts";
import { IPSchema, IPType } from "#gen/metalstack/api/v2/ip_pb.ts";
import { MachineService } from "#gen/metalstack/api/v2/machine_pb.ts";
import { SwitchSchema } from "#gen/metalstack/api/v2/switch_pb.ts";
import { VirtualClock } from "#lib/virtual-clock.ts";
import { kinds } from "../store/kinds.ts";
import type { State } from "../store/state.ts";
import { first, type MachineCentral, machineCentral, machineUuid, type ObservedInit } from "../testing/machines.ts";
import { machinesHealth } from "./health.ts";
import { takeReport } from "./report.ts";

let central: MachineCentral;
beforeEach(async () => {
  central = await machineCentral();
});
afterEach(() => central.close());

const uuid = machineUuid(1);
const refusedWith =
  (code: Code, text = /./) =>
  (e: unknown) =>
    e instanceof ConnectError && e.code === code && text.test(e.message);
const sync = (token = central.agentToken) => central.client(SyncService, token);
const entry = (sequence: number, m: ObservedInit) => ({
  sequence: BigInt(sequence),
  kind: "machine",
  id: m.uuid ?? "",
  value: toBinary(MachineObservedSchema, create(MachineObservedSchema, m)),
});
const report = (entries: Omit<ReportEntry, "$typeName">[], partition = "lab") =>
  sync().report({ partition, outbox: "o", entries });

describe("only a partition's agent", () => {
  test("speaks for it", async () => {
    await central.client(AdminPartitionService).create({ partition: { id: "far" } });
    const far = { partition: "far" };
    await assert.rejects(first(sync().follow(far), 1), refusedWith(Code.PermissionDenied, /partition lab, not far/));
    await assert.rejects(sync().report(far), refusedWith(Code.PermissionDenied, /partition lab, not far/));
    const lab = { partition: "lab" };
    await central.cutLink();
    assert.equal((await first(sync().follow(lab), 1))[0]?.event.case, "snapshotBegin");
    for (const client of [sync(central.ownerToken), central.anonymous(SyncService)]) {
      await assert.rejects(first(client.follow(lab), 1), ConnectError);
      await assert.rejects(client.report(lab), ConnectError);
    }
  });

  test("and of one life: a report that was on its way when another one was let in is not taken", async () => {
    await report([entry(1, { uuid, rack: "before" })]);
    const { state } = central;
    const letIn = state.transact((tx) => {
      tx.put(kinds.centralSession, "other", create(StringValueSchema, { value: "v1" }));
      tx.put(kinds.agentLife, "lab", create(AgentLifeSchema, { agent: "new", session: "other", stream: "s" }));
    });
    const late = { partition: "lab", outbox: "o", agent: "test", entries: [entry(2, { uuid, rack: "late" })] };
    // Whichever commit the store would take first: this one comes after.
    const onItsWay = {
      get: state.get.bind(state),
      transact: async (...asked: Parameters<State["transact"]>) => {
        await letIn;
        return await state.transact(...asked);
      },
    } as unknown as State; // a report that is refused asks nothing else of it
    const taken = takeReport(onItsWay, new VirtualClock(), create(ReportRequestSchema, late));
    await assert.rejects(taken, /another agent is connected under this identity \(life new\)/);
    await letIn;
    assert.equal(state.get(kinds.machineObserved, uuid)?.value.rack, "before");
  });

  test("which is one: beside the life that is connected to another central, no other one reports", async () => {
    const reporting = (agent: string) => sync().report({ partition: "lab", outbox: "o", agent });
    await assert.rejects(reporting("copy"), refusedWith(Code.FailedPrecondition, /life test/));
    await reporting("test");
    await central.cutLink();
    await reporting("copy");
  });

  test("of a partition that exists", async () => {
    await central.state.transact((tx) => tx.delete(kinds.partition, "lab"));
    await assert.rejects(first(sync().follow({ partition: "lab" }), 1), refusedWith(Code.NotFound, /create it/));
    await assert.rejects(report([entry(1, { uuid })]), refusedWith(Code.NotFound, /lab/));
    assert.equal(central.state.get(kinds.machineObserved, uuid), undefined);
  });
});

describe("what people did on site", () => {
  const id = (n: number) => `00000000-0000-4000-8000-${`${n}`.padStart(12, "0")}`;
  const trace = (sequence: number, change: MessageInitShape<typeof AuditTraceSchema>) => ({
    sequence: BigInt(sequence),
    kind: "audit",
    id: `${sequence}`,
    value: toBinary(
      AuditTraceSchema,
      create(AuditTraceSchema, { uuid: id(1), user: "site:alice", phase: AuditPhase.REQUEST, ...change }),
    ),
  });
  const kept = () => central.state.list(kinds.siteAudit);

  test("is kept by partition, act and phase, and never rewritten", async () => {
    const entries = [trace(1, {}), trace(2, { phase: AuditPhase.RESPONSE }), trace(3, { user: "somebody else" })];
    assert.deepEqual((await report(entries)).rejected, []);
    assert.deepEqual(
      kept().map((t) => [t.id, t.value.user]),
      [
        [`lab/${id(1)}/1`, "site:alice"],
        [`lab/${id(1)}/2`, "site:alice"],
      ],
    );
  });

  test("is rejected when it names no act or no phase", async () => {
    const broken = { ...trace(3, {}), value: Uint8Array.of(255) };
    const { rejected } = await report([trace(1, { uuid: "x" }), trace(2, { phase: 0 }), broken]);
    assert.deepEqual(
      rejected.map(({ reason }) => reason),
      Array(3).fill("audit: the trace cannot be read"),
    );
  });
});

describe("a report", () => {
  test("is taken in the order of its sequences, each once", async () => {
    const { acknowledged } = await report([entry(2, { uuid, rack: "new" }), entry(1, { uuid, rack: "old" })]);
    assert.equal(acknowledged, 2n);
    await report([entry(2, { uuid, rack: "again" })]);
    assert.equal(central.state.get(kinds.machineObserved, uuid)?.value.rack, "new");
    assert.equal((await report([])).acknowledged, 2n);
  });

  test("that is more than the store takes at once is taken in parts", async () => {
    const uuids = Array.from({ length: 32 }, (_, i) => machineUuid(i + 1));
    for (const id of uuids) await released(id, 4);
    const { acknowledged, rejected } = await report(
      uuids.map((id, i) => entry(i + 1, { uuid: id, isolatedEpoch: 3n })),
    );
    assert.deepEqual([acknowledged, rejected], [32n, []]);
    assert.deepEqual([central.state.list(kinds.ip).length, central.desired(uuid).release], [0, undefined]);
  });

  test("gives back more addresses of one machine than the store takes at once", async () => {
    await released(uuid, 300);
    const { rejected } = await report([entry(1, { uuid, isolatedEpoch: 3n })]);
    assert.deepEqual([rejected, central.state.list(kinds.ip).length], [[], 0]);
    assert.equal(central.desired(uuid).release, undefined);
  });

  test("that the store can never take is rejected, and those beside it are taken", async () => {
    const huge = { uuid, rack: "x".repeat(2_000_000) };
    const others = [2, 3, 4].map((n) => entry(n, { uuid: machineUuid(n) }));
    const { acknowledged, rejected } = await report([entry(1, huge), ...others]);
    assert.equal(acknowledged, 4n);
    assert.match(rejected[0]?.reason ?? "", /exceeds the store's/);
    assert.deepEqual(
      [rejected.length, central.state.list(kinds.machineObserved).map((m) => m.id)],
      [1, [2, 3, 4].map(machineUuid)],
    );
  });

  test("with a time that could not be said again is rejected", async () => {
    const broken = entry(1, { uuid, heardAt: { seconds: 2n ** 62n } });
    const { rejected } = await report([broken]);
    assert.match(rejected[0]?.reason ?? "", /cannot be read/);
    assert.equal(central.state.get(kinds.machineObserved, uuid), undefined);
  });

  test("of an epoch after which there is none is rejected, and the machine can be released", async () => {
    await central.waiting(1);
    await central.create();
    const { epoch } = central.desired(uuid);
    const last = 2n ** 64n - 1n;
    const { rejected } = await report([entry(1, { uuid, epoch, wipedEpoch: last }), entry(2, { uuid, epoch: last })]);
    assert.deepEqual(
      rejected.map(({ reason }) => reason),
      Array(2).fill(`machine ${uuid}: epoch ${last} exceeds ${2n ** 53n}`),
    );
    await central.client(MachineService).delete({ uuid, project: central.project });
    assert.equal(central.desired(uuid).epoch, epoch + 1n);
  });

  test("of another partition's machine or switch, or of none, is rejected with the reason", async () => {
    await central.state.transact((tx) => {
      tx.put(kinds.machineDesired, uuid, create(MachineDesiredSchema, { uuid, partition: "far" }));
      tx.put(kinds.switch, "leaf01", create(SwitchSchema, { id: "leaf01", partition: "far" }));
    });
    const aSwitch = (sequence: bigint, id: string, partition: string) => ({
      sequence,
      kind: "switch",
      id,
      value: toBinary(SwitchSchema, create(SwitchSchema, { id, partition })),
    });
    const { rejected } = await report([
      entry(1, { uuid }),
      aSwitch(2n, "leaf01", "lab"),
      aSwitch(3n, "leaf02", "far"),
      entry(4, { uuid: "no-uuid" }),
      aSwitch(5n, "leaf03", "lab"),
    ]);
    assert.deepEqual(
      rejected.map((r) => r.reason),
      [
        `machine ${uuid} belongs to partition far, not lab`,
        "switch leaf01 is in partition far, not lab",
        "switch leaf02 is in partition far, not lab",
        "machine no-uuid: that is no uuid",
      ],
    );
    assert.ok(central.state.get(kinds.switch, "leaf03"));
  });

  test("of a console's password is kept for the allocation that it belongs to, and for no other", async () => {
    const password = (sequence: bigint, epoch: bigint, of = uuid) => ({
      sequence,
      kind: "console-password",
      id: of,
      value: toBinary(ConsolePasswordSchema, create(ConsolePasswordSchema, { uuid: of, epoch, password: `p${epoch}` })),
    });
    const kept = () => central.state.list(kinds.consolePassword).map((row) => [row.id, row.value.password]);
    const allocation = { uuid: machineUuid(7), project: "p" };
    const desired = create(MachineDesiredSchema, { uuid, partition: "lab", epoch: 2n, allocation });
    await central.state.transact((tx) => tx.put(kinds.machineDesired, uuid, desired));
    const { rejected } = await report([password(1n, 1n), password(2n, 2n), password(3n, 2n, machineUuid(9))]);
    assert.deepEqual([rejected, kept()], [[], [[uuid, "p2"]]]);
    const bad = await report([{ ...password(4n, 2n), id: machineUuid(3) }]);
    assert.match(bad.rejected[0]?.reason ?? "", /cannot be read/);
  });

  test("of a machine puts it into the agent's partition, whatever it says of itself", async () => {
    await report([entry(1, { uuid, partition: "far" })]);
    assert.equal(central.state.get(kinds.machineObserved, uuid)?.value.partition, "lab");
    assert.equal(central.desired(uuid).partition, "lab");
  });
});

const anAgent = { agent: "agent", beats: true, cut: () => {} };

test("health says of each partition whether its agent is connected", async () => {
  await central.client(AdminPartitionService).create({ partition: { id: "far" } });
  const health = () => machinesHealth(central.state, central.connections);
  const left = central.connections.enter("lab", anAgent);
  assert.equal(health().status, ServiceStatus.DEGRADED);
  assert.equal(health().message, "1 of 2 partitions are cut off");
  assert.deepEqual(
    Object.entries(health().partitions ?? {}).map(([id, p]) => [id, p.status]),
    [
      ["far", ServiceStatus.DEGRADED],
      ["lab", ServiceStatus.HEALTHY],
    ],
  );
  const leftFar = central.connections.enter("far", anAgent);
  assert.deepEqual([health().status, health().message], [ServiceStatus.HEALTHY, ""]);
  left();
  leftFar();
  leftFar();
  assert.equal(health().message, "2 of 2 partitions are cut off");
});

/** A machine that was released at epoch 3 and still holds addresses. */
async function released(id: string, count: number): Promise<void> {
  const ips = Array.from({ length: count }, (_, i) => `/${id}-${i}`);
  const release = { epoch: 3n, project: central.project, ips };
  const desired = create(MachineDesiredSchema, { uuid: id, partition: "lab", epoch: 3n, release });
  await central.state.transact((tx) => tx.put(kinds.machineDesired, id, desired));
  const meta = { labels: { labels: { [machineLabel]: id } } };
  for (let i = 0; i < ips.length; i += 100) {
    await central.state.transact((tx) => {
      for (const ip of ips.slice(i, i + 100)) {
        tx.put(kinds.ip, ip, create(IPSchema, { meta, type: IPType.IP_TYPE_EPHEMERAL }));
      }
    });
  }
}
