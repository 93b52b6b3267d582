// A machine that can never be read back as isolated, and what becomes of what it holds.
import assert from "node:assert/strict";
import { afterEach, beforeEach, test } from "node:test";
import { Code } from "@connectrpc/connect";
import { machineLabel } from "#domain/ip/machine-label.ts";
import { MachineService } from "#gen/holdfast/api/v1/machine_pb.ts";
import { IPService, IPType } from "#gen/metalstack/api/v2/ip_pb.ts";
import { MachineService as ApiMachineService, MachineLiveliness } from "#gen/metalstack/api/v2/machine_pb.ts";
import { NetworkService } from "#gen/metalstack/api/v2/network_pb.ts";
import { reasonHeader } from "#lib/rpc/reason-header.ts";
import { kinds } from "../store/kinds.ts";
import { ipsAtOnce } from "../sync/settle.ts";
import { aWaiting, type MachineCentral, machineCentral, machineUuid } from "../testing/machines.ts";
import { refusedWith } from "../testing/refused-with.ts";

let central: MachineCentral;
beforeEach(async () => {
  central = await machineCentral();
  await central.waiting(1);
  await central.create();
});
afterEach(() => central.close());

const uuid = machineUuid(1);
const burnt = { ...aWaiting(uuid), waiting: false, liveliness: MachineLiveliness.DEAD, epoch: 3n, workedEpoch: 2n };
const release = () => central.client(ApiMachineService).delete({ uuid, project: central.project });
const because = { headers: { [reasonHeader]: "burnt, in the bin" } };
const forget = (force: boolean, options: object = because) =>
  central.client(MachineService).forget({ uuid, force }, options);
const asns = () => central.state.list(kinds.claim).filter(({ id }) => id.startsWith("asn/"));
const isKnown = () => central.state.get(kinds.machineDesired, uuid) !== undefined;

test("one that is unplugged is forgotten by force, for a reason, and gives back all that it held", async () => {
  await release();
  await central.report(burnt);
  await assert.rejects(forget(false), refusedWith(Code.FailedPrecondition, /isolated.*forget it by force/));
  await assert.rejects(forget(true, {}), refusedWith(Code.InvalidArgument, /only with a reason.*holdfast-reason/));
  assert.equal((await forget(true)).machine?.uuid, uuid);
  assert.deepEqual([central.state.list(kinds.ip), asns(), isKnown()], [[], [], false]);
  const why = central.state.list(kinds.change).find(({ value }) => value.method.endsWith("/Forget"));
  assert.equal(why?.value.reason, "burnt, in the bin");
  await central.client(NetworkService).delete({ id: central.network, project: central.project });
});

test("more addresses than one transaction may give back go, too, and what exists without it stays", async () => {
  const ips = central.client(IPService);
  const make = (type: IPType) =>
    ips.create({ project: central.project, network: central.network, type, machine: uuid });
  for (let i = 0; i < ipsAtOnce; i++) await make(IPType.IP_TYPE_EPHEMERAL);
  const { ip } = await make(IPType.IP_TYPE_STATIC);
  await release();
  await central.report(burnt);
  await forget(true);
  assert.deepEqual(
    central.state.list(kinds.ip).map(({ value }) => [value.ip, value.meta?.labels?.labels[machineLabel]]),
    [[ip?.ip, undefined]],
  );
});

test("force does not forget one that somebody has, or that is heard of; one whose agent is away may be gone", async () => {
  await assert.rejects(forget(true), refusedWith(Code.FailedPrecondition, /is allocated to project/));
  await release();
  await central.report({ ...burnt, liveliness: MachineLiveliness.ALIVE });
  await assert.rejects(forget(true), refusedWith(Code.FailedPrecondition, /is alive: it would be known again/));
  await central.cutLink();
  await forget(true);
  assert.ok(!isKnown());
});

test("a free one that was alive when its agent went is forgotten by force alone", async () => {
  await release();
  await central.report({ ...aWaiting(uuid), epoch: 3n, isolatedEpoch: 3n });
  await central.cutLink();
  await assert.rejects(forget(false), refusedWith(Code.FailedPrecondition, /not connected.*forget it by force/));
  await forget(true);
  assert.ok(!isKnown());
});

test("one that comes back with its old system is nobody's to give until it is reclaimed; one that booted anew is a new one", async () => {
  await release();
  await central.report(burnt);
  await forget(true);
  await central.report({ ...burnt, liveliness: MachineLiveliness.ALIVE });
  assert.ok(!isKnown());
  assert.equal((await central.client(MachineService).reclaim({ uuid })).epoch, 4n);
  await central.report({ ...burnt, isolatedEpoch: 4n, epoch: 4n });
  await forget(false);
  await central.report({ uuid, installedEpoch: 2n, epoch: 3n });
  assert.deepEqual([central.desired(uuid).epoch, central.desired(uuid).release], [4n, undefined]);
});
