// What must hold of all that is stored, whatever was called: who is named is there, and nothing is had twice.
import { budgetHolder } from "#central/budget/delegated.ts";
import { membershipOf } from "#central/identity/membership.ts";
import { nameClaim, yetToCome } from "#central/machine/unique-name.ts";
import { type Kind, kinds } from "#central/store/kinds.ts";
import type { State } from "#central/store/state.ts";
import { budgetOf, noItems, ofNetworkAddress, withItems } from "#domain/budget/items.ts";
import { ipId } from "#domain/ip/ip-id.ts";
import { machineOf } from "#domain/ip/machine-label.ts";
import type { Budget, BudgetItems } from "#gen/holdfast/state/v1/budget_pb.ts";
import { TenantRole } from "#gen/metalstack/api/v2/common_pb.ts";
import type { IP } from "#gen/metalstack/api/v2/ip_pb.ts";
import type { Network } from "#gen/metalstack/api/v2/network_pb.ts";
import { containsAddress, containsPrefix, overlaps, type Prefix, parseAddress, parsePrefix } from "#lib/net/prefix.ts";

/**
 * @param since what was recorded up to this revision, nobody need have said
 * @returns what is wrong, in words
 */
export const inconsistencies = (state: State, since: bigint): string[] => [
  ...[members, networks, addresses, machines, quotas, reservations, claims, budgets].flatMap((check) => [
    ...check(state),
  ]),
  ...unsaid(state, since),
];

function* unsaid(state: State, since: bigint): Iterable<string> {
  for (const { revision, value } of state.list(kinds.change)) {
    if (revision <= since || value.actor !== "") continue;
    yield `nobody is said to have changed ${value.things.map(({ kind, id }) => `${kind} ${id}`).join(", ")}`;
  }
}

function has(state: State, kind: Kind, id: string | undefined, by: string): string[] {
  if (id === undefined || state.get(kind, id) !== undefined) return [];
  return [`${by} names ${kind.name} ${JSON.stringify(id)}, which is not there`];
}

const tenants = [kinds.tenant, kinds.tenantMember, kinds.tenantInvite] as const;
const projects = [kinds.project, kinds.projectMember, kinds.projectInvite] as const;

function* members(state: State): Iterable<string> {
  for (const [of, member] of [tenants, projects])
    for (const { id } of state.list(member)) yield* has(state, of, membershipOf(id).of, `${member.name} ${id}`);
  for (const { id, value } of state.list(kinds.tenantInvite))
    yield* has(state, kinds.tenant, value.targetTenant, `invite ${id}`);
  for (const { id, value } of state.list(kinds.projectInvite))
    yield* has(state, kinds.project, value.project, `invite ${id}`);
  for (const { id, value } of state.list(kinds.project)) yield* has(state, kinds.tenant, value.tenant, `project ${id}`);
  const owned = state.list(kinds.tenantMember).filter(({ value }) => value.role === TenantRole.OWNER);
  const owners = new Set(owned.map(({ id }) => membershipOf(id).of));
  for (const { id } of state.list(kinds.tenant)) if (!owners.has(id)) yield `tenant ${id} has no owner`;
}

const prefixesOf = ({ prefixes }: Network): Prefix[] =>
  prefixes.map(parsePrefix).flatMap((parsed) => (parsed.ok ? [parsed.value] : []));

function* networks(state: State): Iterable<string> {
  const all = state.list(kinds.network).map(({ value }) => value);
  for (const network of all) {
    const by = `network ${network.id}`;
    yield* has(state, kinds.project, network.project, by);
    yield* has(state, kinds.partition, network.partition, by);
    yield* has(state, kinds.network, network.parentNetwork, by);
    const own = prefixesOf(network);
    if (own.length !== network.prefixes.length) yield `${by} has prefixes that cannot be read: ${network.prefixes}`;
    const parent = state.get(kinds.network, network.parentNetwork ?? "")?.value;
    if (parent === undefined) continue;
    const outer = prefixesOf(parent);
    if (!own.every((p) => outer.some((o) => containsPrefix(o, p)))) yield `${by} lies outside of its parent`;
    for (const other of all) {
      if (other.id <= network.id || other.parentNetwork === undefined || other.namespace !== network.namespace)
        continue;
      if (prefixesOf(other).some((p) => own.some((o) => overlaps(p, o)))) yield `${by} overlaps with ${other.id}`;
    }
  }
}

function* addresses(state: State): Iterable<string> {
  for (const { id, value: ip } of state.list(kinds.ip)) {
    const by = `address ${id}`;
    if (id !== ipId(ip.namespace, ip.ip)) yield `${by} says that it is ${ip.ip} in ${ip.namespace}`;
    yield* has(state, kinds.network, ip.network, by);
    yield* has(state, kinds.project, ip.project, by);
    const network = state.get(kinds.network, ip.network)?.value;
    const address = parseAddress(ip.ip);
    if (!address.ok) yield `${by} is no address`;
    else if (network && !prefixesOf(network).some((p) => containsAddress(p, address.value)))
      yield `${by} is in none of ${network.prefixes} of its network`;
    yield* usedBy(state, by, id, ip);
  }
}

/** The machine that has the address says so too, by its allocation or by what it has not yet given back. */
function* usedBy(state: State, by: string, id: string, ip: IP): Iterable<string> {
  const machine = machineOf(ip);
  if (machine === undefined) return;
  yield* has(state, kinds.machineDesired, machine, by);
  const { allocation, release } = state.get(kinds.machineDesired, machine)?.value ?? {};
  const isAllocated = allocation?.project === ip.project;
  if (!isAllocated && !release?.ips.includes(id))
    yield `${by} is said to be used by machine ${machine}, which does not have it`;
}

function* machines(state: State): Iterable<string> {
  const holders = new Map<string, string>();
  for (const { id, value } of state.list(kinds.machineDesired)) {
    const by = `machine ${id}`;
    yield* has(state, kinds.partition, value.partition, by);
    const { allocation } = value;
    if (allocation === undefined) continue;
    yield* has(state, kinds.project, allocation.project, by);
    yield* has(state, kinds.image, allocation.image?.id, by);
    yield* has(state, kinds.filesystemLayout, allocation.filesystemLayout?.id, by);
    for (const { network, ips, asn } of allocation.networks) {
      yield* has(state, kinds.network, network, by);
      const namespace = state.get(kinds.network, network)?.value.namespace;
      for (const ip of ips) {
        const of = ipId(namespace, ip);
        yield* has(state, kinds.ip, of, by);
        const other = holders.get(of);
        if (other !== undefined) yield `${by} and ${other} both have ${of}`;
        holders.set(of, by);
      }
      const holder = state.get(kinds.claim, `asn/${asn}`)?.value.value;
      if (holder !== allocation.uuid) yield `${by} works with ASN ${asn}, which ${holder} holds`;
    }
  }
}

function* quotas(state: State): Iterable<string> {
  for (const { id, value } of state.list(kinds.quota)) {
    yield* has(state, kinds.project, id, `quota ${id}`);
    if (value.project !== id) yield `quota ${id} says that it is of ${value.project}`;
  }
}

function* reservations(state: State): Iterable<string> {
  for (const { id, value } of state.list(kinds.sizeReservation)) {
    yield* has(state, kinds.project, value.project, `reservation ${id}`);
    yield* has(state, kinds.size, value.size, `reservation ${id}`);
    for (const partition of value.partitions) yield* has(state, kinds.partition, partition, `reservation ${id}`);
  }
  for (const { id } of state.list(kinds.sizeImageConstraint))
    yield* has(state, kinds.size, id, `image constraint ${id}`);
}

function* claims(state: State): Iterable<string> {
  const ofMachines = state
    .list(kinds.machineDesired)
    .flatMap(({ value: { allocation, release } }) => [
      ...(allocation ? [`${nameClaim(allocation)} ${allocation.uuid}`] : []),
      ...(allocation?.networks.map(({ asn }) => `asn/${asn} ${allocation.uuid}`) ?? []),
      ...(release?.asns.map((asn) => `asn/${asn} ${release.allocation}`) ?? []),
    ]);
  const delegated = state
    .list(kinds.budget)
    .flatMap(({ id, value }) => itemsOf(value).asns.map((asn) => `asn/${asn} ${budgetHolder(id)}`));
  const held = new Set([...ofMachines, ...delegated]);
  for (const { id, value } of state.list(kinds.claim)) {
    if (id.startsWith("vrf/")) yield* has(state, kinds.network, value.value, `claim ${id}`);
    if (id.startsWith("machine-name/") && value.value.startsWith(yetToCome)) continue;
    if (/^(asn|machine-name)\//.test(id) && !held.has(`${id} ${value.value}`))
      yield `claim ${id} has no holder: ${value.value}`;
  }
  for (const { id, value } of state.list(kinds.network)) {
    const holder = value.vrf === undefined ? undefined : state.get(kinds.claim, `vrf/${value.vrf}`)?.value.value;
    if (value.vrf !== undefined && value.vrf !== 0 && holder === undefined)
      yield `network ${id} has VRF ${value.vrf}, which nobody claims`;
  }
}

/** All that is delegated, also what is recalled. */
const itemsOf = ({ free, recalled }: Budget): BudgetItems => withItems(free ?? noItems(), recalled ?? noItems());

function* budgets(state: State): Iterable<string> {
  for (const { id, value } of state.list(kinds.budget)) {
    const by = `budget ${id}`;
    yield* has(state, kinds.partition, value.partition, by);
    yield* has(state, kinds.project, value.project, by);
    yield* has(state, kinds.size, value.size, by);
    if (value.network !== "") yield* has(state, kinds.network, value.network, by);
    if (value.parentNetwork !== "") yield* has(state, kinds.network, value.parentNetwork, by);
    const { machines, addresses, asns, networks, networkAddresses } = itemsOf(value);
    for (const uuid of machines)
      if (value.outbox !== "" && state.get(kinds.machineDesired, uuid)?.value.delegated?.budget !== id)
        yield `${by} has machine ${uuid}, which is not delegated by it`;
    const namespaceOf = (network: string) => state.get(kinds.network, network)?.value.namespace;
    for (const { network, ip } of [
      ...addresses.map((ip) => ({ network: value.network, ip })),
      ...networkAddresses.map(ofNetworkAddress),
    ])
      if (budgetOf(state.get(kinds.ip, ipId(namespaceOf(network), ip))?.value) !== id)
        yield `${by} has address ${ip}, which is not delegated by it`;
    for (const network of networks)
      if (budgetOf(state.get(kinds.network, network)?.value) !== id)
        yield `${by} has network ${network}, which is not delegated by it`;
    for (const asn of asns)
      if (state.get(kinds.claim, `asn/${asn}`)?.value.value !== budgetHolder(id))
        yield `${by} has number ${asn}, which it does not hold`;
  }
  for (const { id, value } of state.list(kinds.network)) {
    const of = budgetOf(value);
    const budget = of === undefined ? undefined : state.get(kinds.budget, of)?.value;
    if (of !== undefined && !(budget && itemsOf(budget).networks.includes(id)))
      yield `network ${id} is delegated by budget ${of}, which does not have it`;
  }
  for (const { id, value } of state.list(kinds.machineDesired)) {
    const { delegated } = value;
    const budget = delegated && state.get(kinds.budget, delegated.budget)?.value;
    if (delegated && !(budget && itemsOf(budget).machines.includes(id)))
      yield `machine ${id} is delegated by budget ${delegated.budget}, which does not have it`;
  }
}
