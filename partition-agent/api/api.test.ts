import assert from "node:assert/strict";
import { test } from "node:test";
import { create, fromBinary } from "@bufbuild/protobuf";
import { Code } from "@connectrpc/connect";
import { budgetLabel, noItems } from "#domain/budget/items.ts";
import { machineLabel } from "#domain/ip/machine-label.ts";
import { asnTag, chassisTag, rackTag } from "#domain/machine/tags.ts";
import { type Budget, BudgetSchema, BudgetUseSchema, LocalMachineSchema } from "#gen/holdfast/state/v1/budget_pb.ts";
import { type MachineDesired, MachineDesiredSchema } from "#gen/holdfast/state/v1/machine_pb.ts";
import { AuditPhase } from "#gen/metalstack/api/v2/audit_pb.ts";
import { MachineFRUSchema } from "#gen/metalstack/api/v2/machine_pb.ts";
import { dayMs } from "#lib/durations.ts";
import { keyHeader, replayedHeader } from "#lib/rpc/idempotency-key.ts";
import { uniqueNameHeader } from "#lib/rpc/unique-name.ts";
import { desiredOf } from "../boot/site.ts";
import { openAgent, uuidA, uuidB } from "../testing/site.ts";
import { accessAgeMaxMs } from "./people.ts";
import { budgetId, callers, item, place, project, refused, tell, wanted } from "./testing/people.ts";

test("a machine is given away within the budget, durably, and on its way to central", async () => {
  const { agent, ann } = await place();
  const { machine } = await ann.machines.create(wanted);
  const allocation = machine?.allocation;
  assert.deepEqual(
    [allocation?.createdBy, allocation?.image?.id, allocation?.filesystemLayout?.id],
    ["ann", "debian-13.0.1", "d"],
  );
  assert.deepEqual([allocation?.networks[0]?.ips, allocation?.networks[0]?.asn], [["10.0.0.2"], 4_210_000_001]);
  const uuid = machine?.uuid ?? "";
  const entry = agent.outbox.pending(100).find(({ kind }) => kind === "local-machine");
  assert.equal(fromBinary(LocalMachineSchema, entry?.value ?? new Uint8Array()).epoch, 2n);
  const again = await openAgent(agent);
  assert.deepEqual([desiredOf(again.site, uuid)?.epoch, desiredOf(again.site, uuid)?.allocation?.name], [2n, "cut"]);
  assert.deepEqual(
    (await callers(again).as("ann").machines.list({ project })).machines.map((m) => m.uuid),
    [uuid],
  );
});

test("a machine that is given away has the labels that central would set, by what is seen of it", async () => {
  const { agent, ann } = await place();
  const labels = { labels: { tier: "web", [chassisTag]: "mine" } };
  const bare = (await ann.machines.create({ ...wanted, labels })).machine;
  assert.deepEqual(bare?.allocation?.meta?.labels?.labels, { tier: "web", [asnTag]: "4210000001", [rackTag]: "r1" });
  const other = bare?.uuid === uuidA ? uuidB : uuidA;
  await agent.observations.update(other, (m) => {
    m.fru = create(MachineFRUSchema, { chassisPartSerial: "C-1 " });
  });
  const { machine } = await ann.machines.create({ ...wanted, labels });
  assert.equal(machine?.allocation?.meta?.labels?.labels[chassisTag], "C-1");
});

test("a name that no other machine of the project has is central's to promise", async () => {
  const { ann } = await place();
  const options = { headers: { [uniqueNameHeader]: "true" } };
  await assert.rejects(ann.machines.create(wanted, options), refused(Code.FailedPrecondition, /ask central, or leave/));
  await assert.rejects(ann.ips.list({ project }, options), refused(Code.InvalidArgument, /IPService.List creates no/));
});

test("what is given away is never more than what was granted, even when it is given back meanwhile", async () => {
  const { ann } = await place();
  const [one, two] = [await ann.machines.create(wanted), await ann.machines.create(wanted)];
  assert.notEqual(one.machine?.uuid, two.machine?.uuid);
  await ann.machines.delete({ uuid: one.machine?.uuid ?? "", project });
  await assert.rejects(
    ann.machines.create(wanted),
    refused(Code.ResourceExhausted, /not within what central has delegated/),
  );
});

test("two that ask at once get different machines, addresses and numbers", async () => {
  const { ann } = await place();
  const made = await Promise.all([ann.machines.create(wanted), ann.machines.create(wanted)]);
  const networks = made.map(({ machine }) => machine?.allocation?.networks[0]);
  assert.equal(new Set(made.map(({ machine }) => machine?.uuid)).size, 2);
  assert.deepEqual([new Set(networks.flatMap((n) => n?.ips)).size, new Set(networks.map((n) => n?.asn)).size], [2, 2]);
});

test("what no budget is for is refused, with what there is a budget for", async () => {
  const { ann } = await place();
  const create = (more: object) => ann.machines.create({ ...wanted, ...more });
  await assert.rejects(create({ size: "large" }), refused(Code.ResourceExhausted, /size small and network net/));
  await assert.rejects(create({ partition: "far" }), refused(Code.ResourceExhausted, /another one/));
  await assert.rejects(create({ networks: [{ network: "other" }] }), refused(Code.ResourceExhausted, /networks other/));
  await assert.rejects(create({ image: "windows-3" }), refused(Code.NotFound, /image windows-3/));
  await assert.rejects(
    create({ networks: [{ network: "net", ips: ["10.0.0.2"] }] }),
    refused(Code.ResourceExhausted, /certain addresses/),
  );
});

test("a machine that was given away here is given back here, one that central gave away is not", async () => {
  const { agent, ann } = await place();
  const { machine } = await ann.machines.create(wanted);
  const uuid = machine?.uuid ?? "";
  await ann.machines.delete({ uuid, project });
  const desired = desiredOf(agent.site, uuid);
  assert.deepEqual([desired?.epoch, desired?.allocation, desired?.release?.ips], [3n, undefined, ["/10.0.0.2"]]);
  await assert.rejects(ann.machines.delete({ uuid, project }), refused(Code.NotFound, /does not exist in project/));
  const theirs = create(MachineDesiredSchema, {
    uuid: uuidB,
    partition: "p1",
    epoch: 9n,
    allocation: { uuid, project },
  });
  await tell(agent, item("machine", uuidB, MachineDesiredSchema, theirs));
  await assert.rejects(ann.machines.delete({ uuid: uuidB, project }), refused(Code.FailedPrecondition, /is central's/));
});

test("what central has adopted is forgotten here, and central's word counts", async () => {
  const { agent, ann, budgets } = await place();
  const { machine } = await ann.machines.create(wanted);
  const uuid = machine?.uuid ?? "";
  await budgets.keep();
  assert.ok(agent.site.locals.machine(uuid));
  const adopted = desiredOf(agent.site, uuid) as MachineDesired;
  await tell(agent, item("machine", uuid, MachineDesiredSchema, adopted));
  await budgets.keep();
  assert.equal(agent.site.locals.machine(uuid), undefined);
  assert.equal(desiredOf(agent.site, uuid)?.allocation?.name, "cut");
});

test("central is told what is used of a budget that something was recalled of, after what was given away", async () => {
  const { agent, ann, budgets } = await place();
  const { machine } = await ann.machines.create(wanted);
  const recalled = agent.ledger.get("budget", budgetId, BudgetSchema) as Budget;
  Object.assign(recalled, { generation: 1n, free: noItems(), recalled: recalled.free });
  await tell(agent, item("budget", budgetId, BudgetSchema, recalled));
  await budgets.keep();
  await assert.rejects(ann.machines.create(wanted), refused(Code.ResourceExhausted, /0 machines/));
  const kinds = agent.outbox.pending(100).map(({ kind }) => kind);
  assert.ok(kinds.indexOf("budget-use") > kinds.indexOf("local-machine"));
  const use = agent.outbox.pending(100).find(({ kind }) => kind === "budget-use");
  const { generation, used } = fromBinary(BudgetUseSchema, use?.value ?? new Uint8Array());
  assert.deepEqual([generation, used?.machines, used?.addresses], [1n, [machine?.uuid], ["10.0.0.2"]]);
});

test("addresses are given away and back within the budget", async () => {
  const { ann } = await place();
  const { ip } = await ann.ips.create({ project, network: "net", name: "vip" });
  assert.deepEqual([ip?.ip, ip?.name], ["10.0.0.2", "vip"]);
  assert.deepEqual(
    (await ann.ips.list({ project })).ips.map((one) => one.ip),
    ["10.0.0.2"],
  );
  await ann.ips.delete({ project, ip: "10.0.0.2" });
  for (const name of [machineLabel, budgetLabel]) {
    const labels = { labels: { [name]: "x" } };
    await assert.rejects(
      ann.ips.create({ project, network: "net", labels }),
      refused(Code.InvalidArgument, /is set by/),
    );
  }
  assert.equal((await ann.ips.create({ project, network: "net" })).ip?.ip, "10.0.0.3");
  await assert.rejects(ann.ips.create({ project, network: "net" }), refused(Code.ResourceExhausted, /delegated/));
});

test("who may not is kept out, and so is everybody when central was not heard for too long", async () => {
  const { agent, as, ann } = await place();
  await assert.rejects(as("vic").machines.create(wanted), refused(Code.PermissionDenied, /another role/));
  assert.deepEqual((await as("vic").machines.list({ project })).machines, []);
  await assert.rejects(as("eve").machines.list({ project }), refused(Code.PermissionDenied, /revoked/));
  const elsewhere = { project: "0e6a6e2c-93c4-4a67-9b5f-00000000cccc" };
  await assert.rejects(ann.machines.list(elsewhere), refused(Code.PermissionDenied, /has no budget/));
  agent.clock.advance(accessAgeMaxMs + dayMs);
  await assert.rejects(ann.machines.list({ project }), refused(Code.Unauthenticated, /15 days ago/));
});

test("who is kept out of what is audited is on record: by name where the token is known, and not for looking", async () => {
  const { as, audit } = await place();
  await assert.rejects(as("vic").machines.create(wanted));
  await assert.rejects(as("eve").machines.delete({ uuid: uuidA, project }));
  await assert.rejects(as("eve").machines.list({ project }));
  await assert.rejects(as("ann").machines.create({ ...wanted, name: "\u0000" }));
  const ends = audit.newest(99).filter(({ phase }) => phase === AuditPhase.RESPONSE);
  assert.deepEqual(
    ends.map(({ user, method, resultCode }) => [user, method.split("/").at(-1), resultCode]),
    [
      ["ann", "Create", Code.InvalidArgument],
      ["", "Delete", Code.PermissionDenied],
      ["vic", "Create", Code.PermissionDenied],
    ],
  );
});

test("an agent whose outbox is another one gives nothing away, and leaves the machines alone", async () => {
  const { agent, ann } = await place();
  await agent.outbox.becomeAnother();
  await assert.rejects(ann.machines.create(wanted), refused(Code.ResourceExhausted, /no budget for the project/));
  assert.ok(desiredOf(agent.site, uuidA)?.delegated);
});

const withKey = (key: string) => {
  let isOld = false;
  const onHeader = (headers: Headers) => {
    isOld = headers.get(replayedHeader) === "true";
  };
  return { options: { headers: { [keyHeader]: key }, onHeader }, wasOld: () => isOld };
};

test("a creation that is sent again with its key makes nothing twice, also after a restart", async () => {
  const { agent, ann } = await place();
  const key = withKey("k1");
  const made = await ann.machines.create(wanted, key.options);
  assert.equal(key.wasOld(), false);
  assert.deepEqual(await ann.machines.create(wanted, key.options), made);
  assert.ok(key.wasOld());
  const again = callers(await openAgent(agent)).as("ann");
  assert.deepEqual(await again.machines.create(wanted, key.options), made);
  assert.equal((await again.machines.list({ project })).machines.length, 1);
  const { ip } = await again.ips.create({ project, network: "net" }, key.options);
  assert.deepEqual(
    (await again.ips.create({ project, network: "net" }, key.options)).ip,
    ip,
    "a key is a method's own",
  );
  assert.equal((await again.ips.list({ project })).ips.length, 1);
  await again.ips.delete({ project, ip: ip?.ip ?? "" });
  assert.deepEqual((await again.ips.create({ project, network: "net" }, key.options)).ip, ip);
});

test("of several creations with one key at once one is carried out", async () => {
  const { agent, ann } = await place();
  const calls = [1, 2, 3].map(() => ann.machines.create(wanted, withKey("k1").options));
  const uuids = (await Promise.all(calls)).map(({ machine }) => machine?.uuid);
  assert.equal(new Set(uuids).size, 1);
  assert.equal(agent.site.locals.machines().length, 1);
});

test("a key is one request's, a day's, and for what makes something", async () => {
  const { agent, ann } = await place();
  const { options } = withKey("k1");
  const { machine } = await ann.machines.create(wanted, options);
  await assert.rejects(
    ann.machines.create({ ...wanted, name: "another" }, options),
    refused(Code.AlreadyExists, /used for another request/),
  );
  await assert.rejects(
    ann.machines.list({ project }, options),
    refused(Code.InvalidArgument, /takes no idempotency-key/),
  );
  await assert.rejects(
    ann.machines.create(wanted, withKey("x".repeat(129)).options),
    refused(Code.InvalidArgument, /1 to 128/),
  );
  agent.clock.advance(dayMs);
  const other = await ann.machines.create(wanted, options);
  assert.notEqual(other.machine?.uuid, machine?.uuid);
  await assert.rejects(
    ann.machines.create(wanted, withKey("k2").options),
    refused(Code.ResourceExhausted, /delegated/),
  );
  assert.equal(agent.site.locals.answers, 1, "those that are over are forgotten, and refusals are not kept");
});
