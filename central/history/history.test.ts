import assert from "node:assert/strict";
import { afterEach, beforeEach, describe, test } from "node:test";
import { create } from "@bufbuild/protobuf";
import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import { Code } from "@connectrpc/connect";
import { BudgetService } from "#gen/holdfast/api/v1/budget_pb.ts";
import { HistoryService, type ThingChange, ThingChangeKind } from "#gen/holdfast/api/v1/history_pb.ts";
import { ImageService as AdminImageService } from "#gen/metalstack/admin/v2/image_pb.ts";
import { MachineService as AdminMachineService } from "#gen/metalstack/admin/v2/machine_pb.ts";
import { NetworkService as AdminNetworkService } from "#gen/metalstack/admin/v2/network_pb.ts";
import { SwitchService as AdminSwitchService } from "#gen/metalstack/admin/v2/switch_pb.ts";
import { AuditTraceSchema } from "#gen/metalstack/api/v2/audit_pb.ts";
import { ImageSchema } from "#gen/metalstack/api/v2/image_pb.ts";
import { IPService } from "#gen/metalstack/api/v2/ip_pb.ts";
import { MachineService } from "#gen/metalstack/api/v2/machine_pb.ts";
import { NetworkService, NetworkType } from "#gen/metalstack/api/v2/network_pb.ts";
import { ProjectService } from "#gen/metalstack/api/v2/project_pb.ts";
import { SwitchSchema } from "#gen/metalstack/api/v2/switch_pb.ts";
import { reasonHeader } from "#lib/rpc/reason-header.ts";
import { kinds, recorded } from "../store/kinds.ts";
import type { Tx } from "../store/tx.ts";
import type { CentralWithMachines } from "../testing/machines.ts";
import { machineUuid } from "../testing/machines.ts";
import { refusedWith } from "../testing/refused-with.ts";
import { until } from "../testing/until.ts";
import { wholeCentral } from "../testing/whole.ts";
import { thingKinds } from "../things/kinds.ts";
import { horizonOf } from "./retention.ts";

let central: CentralWithMachines;
beforeEach(async () => {
  central = await wholeCentral();
  await until("changes are held", () => horizonOf(central.state) !== undefined);
});
afterEach(() => central.close());

const history = (token?: string) => central.client(HistoryService, token);
const machine = machineUuid(1);
const { CREATED, CHANGED, DELETED } = ThingChangeKind;
const told = (changes: readonly ThingChange[]) =>
  changes.map(({ kind, actor, method, reason }) => [kind, actor, method.replace(/^.*\./, ""), reason]);
const because = (reason: string) => ({ headers: { [reasonHeader]: reason } });

async function used(): Promise<void> {
  await central.waiting(1);
  await central.create({ name: "web", userdata: Buffer.from("canary").toString("base64") });
  const machines = central.client(MachineService);
  const { project } = central;
  central.clock.advance(60_000);
  await machines.update(
    { uuid: machine, project, updateMeta: { lockingStrategy: 2 }, description: "for the shop" },
    because("the shop has grown"),
  );
  central.clock.advance(60_000);
  await machines.delete({ uuid: machine, project });
}

describe("the history of a machine", () => {
  test("tells who changed it, by which call and why, the last change first", async () => {
    await used();
    const { changes, more } = await history().list({ of: { kind: "machine", id: machine } });
    assert.deepEqual(told(changes), [
      [CHANGED, "admin", "MachineService/Delete", ""],
      [CHANGED, "admin", "MachineService/Update", "the shop has grown"],
      [CHANGED, "admin", "MachineService/Create", ""],
      [CREATED, "agent of lab", "SyncService/Report", ""],
    ]);
    assert.equal(more, false);
    assert.ok(changes[1]?.fields.includes("allocation.description"), `${changes[1]?.fields}`);
    const page = await history().list({
      of: { kind: "machine", id: machine },
      pageSize: 1,
      before: changes[1]!.revision,
    });
    assert.deepEqual([told(page.changes), page.more], [told(changes.slice(2, 3)), true]);
  });

  test("shows it as it was wanted at a revision and at a time, without its secrets", async () => {
    await used();
    const { changes } = await history().list({ of: { kind: "machine", id: machine } });
    const [deleted, updated, made, found] = changes.map(({ revision }) => revision);
    const at = async (revision: bigint) => {
      const { thing } = await history().get({
        of: { kind: "machine", id: machine },
        at: { at: { case: "revision", value: revision } },
      });
      const allocation = thing?.value.case === "machine" ? thing.value.value.allocation : undefined;
      return [thing?.revision, allocation?.name, allocation?.description, allocation?.userdata];
    };
    assert.deepEqual(await at(made!), [made, "web", "", ""]);
    assert.deepEqual(await at(updated! - 1n), [made, "web", "", ""], "until the next change");
    assert.deepEqual(await at(updated!), [updated, "web", "for the shop", ""]);
    assert.deepEqual(await at(deleted!), [deleted, undefined, undefined, undefined]);
    const before = {
      of: { kind: "machine", id: machine },
      at: { at: { case: "revision" as const, value: found! - 1n } },
    };
    await assert.rejects(history().get(before), refusedWith(Code.NotFound, /there was no machine .* then/));
    const time = timestampFromMs(central.clock.wallMs() - 61_000);
    const { thing } = await history().get({
      of: { kind: "machine", id: machine },
      at: { at: { case: "time", value: time } },
    });
    assert.equal(thing?.revision, made);
    const stored = central.state.list(kinds.change).flatMap(({ value }) => value.things.map((t) => t.former));
    const canary = Buffer.from("canary").toString("base64");
    assert.ok(stored.every((former) => !Buffer.from(former ?? []).includes(canary)));
  });

  test("says which fields differ between two moments", async () => {
    await used();
    const { changes } = await history().list({ of: { kind: "machine", id: machine } });
    const moment = (n: number) => ({ at: { case: "revision" as const, value: changes[n]!.revision } });
    const { differences } = await history().diff({
      of: { kind: "machine", id: machine },
      from: moment(2),
      to: moment(1),
    });
    const found = new Map(differences.map(({ path, before, after }) => [path, [before, after]]));
    assert.deepEqual(found.get("allocation.description"), [undefined, '"for the shop"']);
    assert.ok(
      [...found.keys()].every((path) => /description$|updated_at$|generation$/.test(path)),
      `${[...found.keys()]}`,
    );
    const same = await history().diff({ of: { kind: "machine", id: machine }, from: moment(1), to: moment(1) });
    assert.deepEqual(same.differences, []);
  });

  test("is shown to a project for the time that the machine was its own, and to nobody else's", async () => {
    await used();
    const { changes } = await history(central.ownerToken).list({ of: { kind: "machine", id: machine } });
    assert.deepEqual(
      changes.map(({ kind }) => kind),
      [DELETED, CHANGED, CREATED],
    );
    const now = history(central.ownerToken).get({ of: { kind: "machine", id: machine } });
    await assert.rejects(now, refusedWith(Code.NotFound, /not open to the caller/));
    const at = { at: { case: "revision" as const, value: changes[1]!.revision } };
    const mine = await history(central.ownerToken).get({ of: { kind: "machine", id: machine }, at });
    assert.equal(mine.thing?.id, machine);
    const stranger = await central.tokenFor("stranger");
    for (const call of [
      () => history(stranger).list({ of: { kind: "machine", id: machine } }),
      () => history(stranger).get({ of: { kind: "machine", id: machine }, at }),
      () => history(stranger).diff({ of: { kind: "machine", id: machine }, from: at }),
    ])
      await assert.rejects(call(), refusedWith(Code.NotFound, /not open to the caller/));
  });
});

describe("what is recorded", () => {
  test("of every kind that is shown with its past, and of no other", () => {
    const shown = thingKinds.flatMap(({ past }) => (past === undefined ? [] : past.kind.name));
    assert.deepEqual(shown.sort(), [...recorded].sort());
    const without = thingKinds.flatMap(({ name, past }) => (past === undefined ? name : []));
    assert.deepEqual(without, ["token", "component"]);
  });

  test("are networks, addresses, projects, members, images and switches as well, also after they are gone", async () => {
    const { project } = central;
    const made = await central.client(NetworkService).create({ project, partition: "lab", name: "first" });
    const network = made.network?.id ?? "";
    const { ip } = await central.client(IPService).create({ project, network, name: "front" });
    await central.client(IPService).delete({ ip: ip?.ip ?? "", project });
    await central.client(NetworkService).delete({ id: network, project });
    const ofNetwork = await history(central.ownerToken).list({ of: { kind: "network", id: network } });
    assert.deepEqual(told(ofNetwork.changes), [
      [DELETED, "admin", "NetworkService/Delete", ""],
      [CHANGED, "admin", "NetworkService/Delete", ""],
      [CREATED, "admin", "NetworkService/Create", ""],
    ]);
    const ofIp = await history(central.ownerToken).list({ of: { kind: "ip", id: `/${ip?.ip}` } });
    assert.deepEqual(
      ofIp.changes.map(({ kind }) => kind),
      [DELETED, CREATED],
    );
    await central.client(ProjectService).addMember({ project, member: "bob", role: 2 });
    const ofMember = await history().list({ of: { kind: "project-member", id: `${project}/bob` } });
    assert.deepEqual(told(ofMember.changes), [[CREATED, "admin", "ProjectService/AddMember", ""]]);
    await central
      .client(AdminImageService)
      .update({ id: "debian-13.0.1", name: "new", updateMeta: { lockingStrategy: 2 } });
    const ofImage = await history().list({ of: { kind: "image", id: "debian-13.0.1" } });
    assert.equal(ofImage.changes[0]?.kind, CHANGED);
    const leaf = create(SwitchSchema, { id: "leaf1", partition: "lab", nics: [{ name: "Ethernet0" }] });
    await central.state.transact((tx) => tx.put(kinds.switch, "leaf1", leaf));
    await central.client(AdminSwitchService).port({ id: "leaf1", nicName: "Ethernet0", status: 2 });
    const ofSwitch = await history().get({ of: { kind: "switch", id: "leaf1" } });
    assert.equal(ofSwitch.thing?.value.case === "switch" && ofSwitch.thing.value.value.nics[0]?.state?.desired, 2);
  });

  test("of a network that everybody may build upon is shown to those who name a project", async () => {
    const fabric = { id: "internet", type: NetworkType.EXTERNAL, prefixes: ["192.0.2.0/24"], vrf: 104_009 };
    await central.client(AdminNetworkService).create(fabric);
    const of = { kind: "network", id: "internet" };
    await assert.rejects(history(central.ownerToken).list({ of }), refusedWith(Code.NotFound, /not open/));
    const { changes } = await history(central.ownerToken).list({ of: { ...of, project: central.project } });
    assert.equal(changes.length, 1);
  });

  test("of a budget is who granted and changed it, and what central delegated of itself", async () => {
    await central.waiting(2);
    const budgets = central.client(BudgetService);
    const { project, network } = central;
    const { budget } = await budgets.grant({ partition: "lab", project, size: "small", network, machines: 1 });
    const of = { kind: "budget", id: budget?.budget?.id ?? "" };
    await budgets.resize({ id: of.id, machines: 2 }, because("they often lose their link"));
    const { changes } = await history().list({ of });
    const delegated = [CHANGED, "central", "", `budget ${of.id}`];
    assert.deepEqual(told(changes), [
      delegated,
      [CHANGED, "admin", "BudgetService/Resize", "they often lose their link"],
      delegated,
      [CREATED, "admin", "BudgetService/Grant", ""],
    ]);
    assert.ok(changes[1]?.fields.includes("machines_wanted"), `${changes[1]?.fields}`);
    await assert.rejects(history(central.ownerToken).list({ of }), refusedWith(Code.NotFound, /budget/));
  });

  test("of a budget has how many networks are wanted and which there are, and of a network that it is delegated", async () => {
    await central.waiting(1);
    const budgets = central.client(BudgetService);
    const { project } = central;
    const wanted = { partition: "lab", project, size: "small", parentNetwork: "super", networks: 1 };
    const { budget } = await budgets.grant(wanted);
    const { id = "", free } = budget?.budget ?? {};
    await budgets.resize({ id, networks: 2 }, because("they make clusters"));
    const { changes } = await history().list({ of: { kind: "budget", id } });
    assert.ok(changes[1]?.fields.includes("networks_wanted"), `${changes[1]?.fields}`);
    assert.ok(
      changes[0]?.fields.some((field) => field.startsWith("free.networks")),
      `${changes[0]?.fields}`,
    );
    const network = await history().list({ of: { kind: "network", id: free?.networks[0] ?? "" } });
    assert.deepEqual(told(network.changes), [[CREATED, "central", "", `budget ${id}`]]);
  });

  test("leaves out what changes nothing that is shown, such as an order that was carried out", async () => {
    await central.waiting(1, { bmc: { address: "10.1.0.1:623" } });
    await central.client(AdminMachineService).bMCCommand({ uuid: machine, command: 1 });
    const { changes } = await history().list({ of: { kind: "machine", id: machine } });
    assert.deepEqual(told(changes), [[CREATED, "agent of lab", "SyncService/Report", ""]]);
  });
});

describe("is refused", () => {
  const of = { kind: "machine", id: machine };

  test("what is longer ago than is kept, and what is still to come", async () => {
    await central.waiting(1);
    const { heldAfter } = await history().list({ of });
    const get = (value: bigint) => history().get({ of, at: { at: { case: "revision", value } } });
    if (heldAfter > 0n)
      await assert.rejects(get(heldAfter - 1n), refusedWith(Code.FailedPrecondition, /longer ago than/));
    await assert.rejects(get(central.state.revision + 1n), refusedWith(Code.FailedPrecondition, /is beyond/));
    const time = timestampFromMs(central.clock.wallMs() - 1_000);
    const past = history().get({ of, at: { at: { case: "time", value: time } } });
    await assert.rejects(past, refusedWith(Code.FailedPrecondition, /longer ago than/));
  });

  test("a kind without a history, and a reason that is no text", async () => {
    const unknown = history().get({ of: { kind: "token", id: "x" } });
    await assert.rejects(unknown, refusedWith(Code.InvalidArgument, /of token no history is kept/));
    const { project } = central;
    const make = (reason: string) =>
      central.client(NetworkService).create({ project, partition: "lab" }, because(reason));
    await assert.rejects(make("x".repeat(257)), refusedWith(Code.InvalidArgument, /1 to 256 visible ASCII/));
    await assert.rejects(make("f\u00fcr alle"), refusedWith(Code.InvalidArgument, /1 to 256 visible ASCII/));
  });
});

describe("a commit at the store's limit", () => {
  const write = (amount: number, put: (tx: Tx, id: string) => void) =>
    central.state.transact(
      (tx) => {
        for (let i = 0; i < amount; i++) put(tx, `limit-${i}`);
      },
      { actor: "test", method: "", reason: "" },
    );
  const putImage = (tx: Tx, id: string) => tx.put(kinds.image, id, create(ImageSchema, { id }));
  const putTrace = (tx: Tx, id: string) => tx.put(kinds.audit, id, create(AuditTraceSchema));
  const changes = () => central.state.list(kinds.change).filter(({ value }) => value.actor === "test");

  test("takes 127 changes of what is recorded and their record, and refuses 128 whole", async () => {
    await assert.rejects(write(128, putImage), {
      name: "Refusal",
      reason: "STORE_LIMIT",
      message: /^a commit of 129 operations, any record of what it changes included, exceeds the store's 128/,
    });
    assert.equal(central.state.get(kinds.image, "limit-0"), undefined);
    assert.deepEqual(changes(), []);
    await write(127, putImage);
    assert.deepEqual(
      changes().map(({ value }) => value.things.length),
      [127],
    );
  });

  test("takes 128 of what is not recorded", async () => {
    await write(128, putTrace);
    assert.deepEqual(changes(), []);
  });
});
