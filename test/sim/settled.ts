import { vrfOfNetwork } from "#agent/switch/switch.ts";
import { kinds } from "#central/store/kinds.ts";
import { isInstalled } from "#domain/machine/boot-target.ts";
import type { LocalIp, LocalNetwork } from "#gen/holdfast/state/v1/budget_pb.ts";
import { type MachineDesired, MachineDesiredSchema, type MachineObserved } from "#gen/holdfast/state/v1/machine_pb.ts";
import type { Datacenter } from "./datacenter.ts";
import type { SimServer } from "./server.ts";
import type { World } from "./world.ts";

/** Why the world is not yet as central wants it, in words; undefined when it is, or says by name why it cannot be. */
export function unsettled({ central, datacenters, joined }: World): string | undefined {
  if (central.all.some((one) => one.isDead || !one.far)) return "a central is not up";
  for (const at of datacenters) {
    const why = joined?.isBad(at) ? "the agent follows by a certificate that is no good" : unsettledAt(at);
    if (why !== undefined) return datacenters.length === 1 ? why : `${at.partition}: ${why}`;
  }
  return undefined;
}

function unsettledAt(at: Datacenter): string | undefined {
  const { agent, servers, leaf, partition } = at;
  if (!agent.agent) return "the agent is not up";
  const { link, outbox } = agent.agent;
  if (link.state.phase !== "following") return `the link is ${link.state.phase}: ${link.state.lastError}`;
  const { ledger } = agent.agent.site;
  const told = at.world.truth.get(kinds.reportCursor, partition)?.value.history;
  if (told !== at.world.truth.history) return `not everything is told to central's history ${at.world.truth.history}`;
  if (ledger.held) return `history ${ledger.held.history} is not accepted`;
  const { locals } = agent.agent.site;
  const kept = new Set(outbox.rejected().map(({ entry }) => entry.id));
  const local = locals.machines().find(({ uuid }) => !kept.has(uuid));
  if (local) return `what was given away of machine ${local.uuid} is not adopted`;
  // What was given back is taken back by the word of the outbox that the budget is for; after another one an administrator revokes it by force.
  const waits = ({ budget, deleted }: LocalNetwork | LocalIp) =>
    deleted && at.world.truth.get(kinds.budget, budget)?.value.outbox !== outbox.id;
  const made = locals.networks().find((one) => !kept.has(one.network?.id ?? "") && !waits(one));
  if (made) return `network ${made.network?.id}, which was made here, is not adopted`;
  if (locals.ips().some((one) => !kept.has(one.ip?.ip ?? "") && !waits(one)))
    return "an address that was given away is not adopted";
  if (outbox.size > 0) return `${outbox.size} facts are not reported`;
  const foreign = ledger.list("machine", MachineDesiredSchema).find((machine) => machine.partition !== partition);
  if (foreign) return `the agent was told of machine ${foreign.uuid}, which is of partition ${foreign.partition}`;
  const shown = at.world.truth.get(kinds.switch, leaf.id)?.value.nics ?? [];
  for (const { plan } of servers) {
    const is = networkOnPort(at, leaf.networkOf(plan.port));
    const says = shown.find((nic) => nic.name === plan.port)?.vrf;
    if (says !== is) return `central's record of the switch has port ${plan.port} in ${says} instead of ${is}`;
  }
  for (const server of servers) {
    // Central cannot adopt it, after a restore: its people see it in `site outbox`.
    if (kept.has(server.uuid) && locals.machine(server.uuid)) continue;
    const why = unsettledServer(at, server);
    if (why !== undefined) return `${server.plan.name} (${server.doing}): ${why}`;
  }
  return undefined;
}

/** As central knows it; what it does not know has the name that it has on the switch. */
function networkOnPort({ world: { truth } }: Datacenter, name: string): string {
  if (name === "prov") return "provisioning";
  const vrf = vrfOfNetwork(name);
  return truth.list(kinds.network).find(({ value }) => vrf !== undefined && value.vrf === vrf)?.id ?? name;
}

/** A wait that only people can end. */
const forPeople = /somebody to look|central to say what|is already machine|behind several ports/;

function unsettledServer({ world: { truth }, leaf }: Datacenter, server: SimServer): string | undefined {
  const desired = truth.get(kinds.machineDesired, server.uuid)?.value;
  const observed = truth.get(kinds.machineObserved, server.uuid)?.value;
  if (observed && forPeople.test(observed.progress?.why ?? "")) return undefined;
  if (!desired || !observed) return "central does not know it";
  // Whoever switched it off has to switch it on: off, it cannot even be found on the switch.
  if (observed.heldOff && observed.heldOffEpoch === desired.epoch) return undefined;
  const network = leaf.networkOf(server.plan.port);
  return desired.allocation
    ? unsettledTenant(desired, observed, server, network)
    : unsettledFree(desired, observed, network);
}

function unsettledTenant(desired: MachineDesired, observed: MachineObserved, server: SimServer, network: string) {
  if (!isInstalled(desired, observed))
    return `reinstallation ${desired.reinstall?.number ?? 0} of epoch ${desired.epoch} is not done: ${observed.progress?.why}`;
  if (observed.phonedHomeEpoch !== desired.epoch)
    return `epoch ${desired.epoch} has not phoned home: ${observed.progress?.why}`;
  if (server.doing === "system, unheard") return "its system phones home, and nobody lets it in";
  if (network === "prov") return "its port is not in its tenant's network";
  if (server.disk.epoch !== desired.epoch) return `its disk is of epoch ${server.disk.epoch}`;
  const { uuid } = desired.allocation!;
  if (server.disk.allocation !== uuid) return `its disk is of allocation ${server.disk.allocation}, not ${uuid}`;
  // One that was switched off before it was welcome has written nothing yet.
  if (server.power === "on" && server.data.allocation !== uuid)
    return `its second disk is of allocation ${server.data.allocation}, not ${uuid}`;
  return undefined;
}

function unsettledFree(desired: MachineDesired, observed: MachineObserved, network: string): string | undefined {
  if (desired.release) return "its release is not done";
  if (!observed.waiting) return `it does not wait: ${observed.progress?.why}`;
  if (network !== "prov") return `its port is in ${network}`;
  return undefined;
}
