import assert from "node:assert/strict";
import { afterEach, beforeEach, describe, test } from "node:test";
import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { Code } from "@connectrpc/connect";
import { type Plan, PlannedFate, PlanService, PlanServicePlanRequestSchema } from "#gen/holdfast/api/v1/plan_pb.ts";
import { SwitchService as AdminSwitchService } from "#gen/metalstack/admin/v2/switch_pb.ts";
import { IPService } from "#gen/metalstack/api/v2/ip_pb.ts";
import { MachineService } from "#gen/metalstack/api/v2/machine_pb.ts";
import { NetworkService } from "#gen/metalstack/api/v2/network_pb.ts";
import { MachineConnectionSchema, type Switch, SwitchSchema } from "#gen/metalstack/api/v2/switch_pb.ts";
import { planHeader } from "#lib/rpc/plan-header.ts";
import { hasReason } from "#lib/rpc/refusal-to-connect.ts";
import { kinds } from "../store/kinds.ts";
import { aWaiting, type CentralWithMachines, machineUuid } from "../testing/machines.ts";
import { refusedWith } from "../testing/refused-with.ts";
import { wholeCentral } from "../testing/whole.ts";
import { plannable } from "./methods.ts";

let central: CentralWithMachines;
beforeEach(async () => {
  central = await wholeCentral();
});
afterEach(() => central.close());

type Call = NonNullable<MessageInitShape<typeof PlanServicePlanRequestSchema>["call"]>;
const plan = (call: Call, token?: string) => central.client(PlanService, token).plan({ call });
const asPlanned = (hash: string) => ({ headers: { [planHeader]: hash } });
const isStale = (error: unknown) => hasReason(error, "PLAN_STALE");

const disks = [
  { name: "/dev/sda", size: 100n },
  { name: "/dev/sdb", size: 200n },
];
const port = { switch: "leaf1", port: "swp1", network: "provisioning" };
const machines = () => central.client(MachineService);

/** @throws when it was refused */
function planned(answer: Awaited<ReturnType<typeof plan>>): { readonly plan: Plan; readonly hash: string } {
  assert.equal(
    answer.outcome.case,
    "plan",
    answer.outcome.case === "refusal" ? answer.outcome.value.text : "no outcome",
  );
  return { plan: answer.outcome.value as Plan, hash: answer.hash };
}

const refused = (answer: Awaited<ReturnType<typeof plan>>) =>
  answer.outcome.case === "refusal" ? [answer.outcome.value.code, answer.outcome.value.reason, answer.hash] : answer;

describe("the plan of a creation", () => {
  test("changes nothing, and the creation with its hash gets this very machine and these addresses, among many", async () => {
    await central.waiting(20, { hardware: { disks }, port });
    for (let n = 0; n < 5; n++) {
      const before = central.state.revision;
      const { plan: p, hash } = planned(await plan({ case: "createMachine", value: central.wanted() }));
      assert.equal(central.state.revision, before);
      const { machine } = await machines().create(central.wanted(), asPlanned(hash));
      const [m] = p.machines;
      assert.equal(machine?.uuid, m?.uuid);
      assert.equal(m?.epoch, central.desired(machine?.uuid ?? "").epoch);
      assert.deepEqual(
        m?.joins.map(({ network, ips, asn }) => [network, ips, asn]),
        machine?.allocation?.networks.map(({ network, ips, asn }) => [network, ips, asn]),
      );
      assert.deepEqual(
        p.addresses.map(({ ip, fate }) => [ip, fate]),
        m?.joins.flatMap(({ ips }) => ips.map((ip) => [ip, PlannedFate.TAKEN])),
      );
      assert.deepEqual([m?.image, m?.filesystemLayout, m?.project], ["debian-13.0.2", "default", central.project]);
    }
  });

  test("says which disks are wiped, where the port goes, and why it is this machine", async () => {
    await central.waiting(2, { hardware: { disks }, port });
    const answer = await plan({ case: "createMachine", value: central.wanted() });
    const { plan: p } = planned(answer);
    assert.deepEqual(
      p.machines[0]?.wipedDisks.map(({ name }) => name),
      ["/dev/sda"],
      "those that the layout divides",
    );
    assert.deepEqual(
      p.ports.map(({ switch: leaf, port: name, becomes }) => [leaf, name, becomes]),
      [["leaf1", "swp1", central.network]],
    );
    assert.match(
      answer.why.join(),
      /is one of 2 that can be had, of 2 in partition lab; .* 0 machines .* in rack rack1/,
    );
  });

  test("is stale when its machine, or one of its addresses, went to somebody else, and nothing is stored then", async () => {
    await central.waiting(1);
    const { hash } = planned(await plan({ case: "createMachine", value: central.wanted() }));
    const { ip } = await central.client(IPService).create({ project: central.project, network: central.network });
    // Not the whole store: the session of a central that gives things away is renewed there.
    const stored = () => [kinds.machineDesired, kinds.ip].map((kind) => central.state.list(kind));
    const before = stored();
    await assert.rejects(machines().create(central.wanted(), asPlanned(hash)), isStale);
    assert.deepEqual(stored(), before);
    const again = planned(await plan({ case: "createMachine", value: central.wanted() }));
    assert.ok(!again.plan.addresses.some((a) => a.ip === ip?.ip));
    await machines().create(central.wanted(), asPlanned(again.hash));
    const gone = machines().create(central.wanted({ name: "other" }), asPlanned(again.hash));
    await assert.rejects(gone, isStale, "no machine is left");
  });

  test("holds for the request that was planned alone", async () => {
    await central.waiting(1);
    const { hash } = planned(await plan({ case: "createMachine", value: central.wanted() }));
    await assert.rejects(machines().create(central.wanted({ userdata: "Zm9v" }), asPlanned(hash)), isStale);
    await assert.rejects(
      machines().create(central.wanted(), asPlanned("7-nonsense")),
      refusedWith(Code.InvalidArgument, /holdfast-plan wants the hash of a plan/),
    );
    const other = machines().get({ uuid: machineUuid(1), project: central.project }, asPlanned(hash));
    await assert.rejects(other, refusedWith(Code.InvalidArgument, /Get cannot be planned/));
  });

  test("is refused as the creation would be, and that is the answer", async () => {
    assert.deepEqual(refused(await plan({ case: "createMachine", value: central.wanted() })), [
      "ResourceExhausted",
      "NO_MACHINE",
      "",
    ]);
    const unknown = central.wanted({ image: "plan9-4" });
    assert.equal(refused(await plan({ case: "createMachine", value: unknown }))[0 as never], "NotFound");
  });

  test("is only for those who may create", async () => {
    const call = { case: "createMachine" as const, value: central.wanted() };
    await central.waiting(1);
    planned(await plan(call, central.ownerToken));
    await assert.rejects(
      plan(call, await central.tokenFor("stranger")),
      refusedWith(Code.PermissionDenied, /Create wants/),
    );
  });
});

describe("the plan of a machine's deletion", () => {
  const value = () => ({ uuid: machineUuid(1), project: central.project });

  test("names disks, addresses and ports, and is what is done", async () => {
    await central.waiting(1, { hardware: { disks }, port });
    const { ip } = await central
      .client(IPService)
      .create({ project: central.project, network: central.network, type: 2 });
    await central.create({ networks: [{ network: central.network, ips: [ip?.ip ?? ""] }] });
    const { plan: p, hash } = planned(await plan({ case: "deleteMachine", value: value() }));
    const [m] = p.machines;
    assert.deepEqual([m?.fate, m?.project, m?.wipedDisks.length], [PlannedFate.GIVEN_BACK, central.project, 2]);
    assert.deepEqual(
      p.addresses.map(({ ip: address, fate }) => [address, fate]),
      [[ip?.ip, PlannedFate.KEPT]],
    );
    assert.deepEqual(
      p.ports.map(({ becomes }) => becomes),
      ["provisioning"],
    );
    assert.ok(central.desired(machineUuid(1)).allocation, "it is only planned");
    await machines().delete(value(), asPlanned(hash));
    assert.equal(central.desired(machineUuid(1)).epoch, m?.epoch);
    await assert.rejects(machines().delete(value(), asPlanned(hash)), isStale);
    assert.equal(refused(await plan({ case: "deleteMachine", value: value() }))[0 as never], "NotFound");
  });

  test("is stale when the machine got another disk since", async () => {
    await central.waiting(1, { hardware: { disks } });
    await central.create();
    const { hash } = planned(await plan({ case: "deleteMachine", value: value() }));
    const more = [...disks, { name: "/dev/sdc", size: 300n }];
    await central.report({ ...aWaiting(machineUuid(1)), hardware: { disks: more } });
    await assert.rejects(machines().delete(value(), asPlanned(hash)), isStale);
    assert.ok(central.desired(machineUuid(1)).allocation);
  });
});

describe("the plan of a network's deletion", () => {
  test("gives its prefixes and its VRF back, and is stale and leaves no mark when somebody uses it by then", async () => {
    const { project } = central;
    const made = await central.client(NetworkService).create({ project, partition: "lab", name: "spare" });
    const value = { id: made.network?.id ?? "", project };
    const { plan: p, hash } = planned(await plan({ case: "deleteNetwork", value }));
    assert.deepEqual(
      p.networks.map(({ prefixes, vrf, fate }) => [prefixes, vrf, fate]),
      [[made.network?.prefixes, made.network?.vrf, PlannedFate.DELETED]],
    );
    const { ip } = await central.client(IPService).create({ project, network: value.id });
    await assert.rejects(central.client(NetworkService).delete(value, asPlanned(hash)), isStale);
    assert.equal(central.state.get(kinds.network, value.id)?.value.meta?.deletionTaskId, undefined);
    assert.deepEqual(refused(await plan({ case: "deleteNetwork", value })), ["FailedPrecondition", "IN_USE", ""]);
    assert.equal(
      central.state.get(kinds.network, value.id)?.value.meta?.deletionTaskId,
      undefined,
      "nothing was stored",
    );
    await central.client(IPService).delete({ ip: ip?.ip ?? "", project });
    await central.client(NetworkService).delete(value, asPlanned(hash));
    assert.equal(central.state.get(kinds.network, value.id), undefined);
  });
});

describe("the plan of a switch's migration", () => {
  test("names each cable that changes hands", async () => {
    const [one, two] = ["old", "new"].map((id) =>
      create(SwitchSchema, { id, partition: "yard", rack: "r1", nics: [{ name: "swp1" }, { name: "swp2" }] }),
    ) as [Switch, Switch];
    one.machineConnections = [create(MachineConnectionSchema, { machineId: "m", nic: one.nics[1]! })];
    await central.state.transact((tx) => {
      tx.put(kinds.switch, "old", one);
      tx.put(kinds.switch, "new", two);
    });
    const value = { oldSwitch: "old", newSwitch: "new" };
    const { plan: p, hash } = planned(await plan({ case: "migrateSwitch", value }));
    assert.deepEqual(
      p.ports.map(({ switch: id, port: name, machine, becomes }) => [id, name, machine, becomes]),
      [
        ["new", "swp2", "m", "taken over"],
        ["old", "swp2", "m", "empty"],
      ],
    );
    await central.client(AdminSwitchService).migrate(value, asPlanned(hash));
    assert.equal(central.state.get(kinds.switch, "new")?.value.machineConnections.length, 1);
    await assert.rejects(central.client(AdminSwitchService).migrate(value, asPlanned(hash)), isStale);
  });
});

test("every call that can be planned has its own request as a field", () => {
  const fields = PlanServicePlanRequestSchema.oneofs[0]?.fields.map((f) => [f.localName, f.message?.typeName]);
  assert.deepEqual(
    fields,
    Object.entries(plannable).map(([name, method]) => [name, method.input.typeName]),
  );
});
