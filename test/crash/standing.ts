// What a killed central leaves in its store: one machine at most that is given away or given back, one network at most, each whole, and
// beside them exactly what was there at first. Anything else ends the test.
import assert from "node:assert/strict";
import { type DescMessage, toBinary } from "@bufbuild/protobuf";
import { nameClaim, yetToCome } from "#central/machine/unique-name.ts";
import { spaceName, spaces } from "#central/network/spaces.ts";
import { type Kind, keyOf, kinds } from "#central/store/kinds.ts";
import type { State } from "#central/store/state.ts";
import { ipId } from "#domain/ip/ip-id.ts";
import { addressBlock, prefixBlock } from "#domain/network/free.ts";
import { type Space, take } from "#domain/network/ipam.ts";
import { knownPrefixes } from "#domain/network/rules.ts";
import type { MachineDesired } from "#gen/holdfast/state/v1/machine_pb.ts";
import type { Network } from "#gen/metalstack/api/v2/network_pb.ts";
import { parseAddress } from "#lib/net/prefix.ts";
import { inconsistencies } from "../fuzz/consistent.ts";

export interface Standing {
  readonly machine: "free" | "allocated" | "released";
  /** Of the machine, in its project. */
  readonly name: "free" | "announced" | "held";
  readonly network: "none" | "there" | "being deleted";
  /** The machine, if it is not free. */
  readonly desired: MachineDesired | undefined;
  /** The network, if there is one. */
  readonly child: Network | undefined;
}

type Pools = Readonly<Record<"addresses" | "prefixes" | "asn" | "vrf", Space>>;

/** What was there before the first call. */
export interface Ground {
  readonly rows: ReadonlyMap<string, string>;
  readonly pools: Pools;
}

/** Of people, of lives, of what is asked twice and of what has happened: they come and go beside the calls. Machines are looked at one by one. */
const apart: readonly Kind[] = [
  kinds.audit,
  kinds.change,
  kinds.changeHorizon,
  kinds.token,
  kinds.signingKey,
  kinds.centralSession,
  kinds.agentLife,
  kinds.reportCursor,
  kinds.keptAnswer,
  kinds.machineDesired,
  kinds.machineObserved,
];
const compared = Object.values(kinds).filter((kind) => !apart.includes(kind));
/** Whose turn it was; it counts, and holds nothing. */
const isTurn = (key: string) => key.startsWith(keyOf(kinds.claim, "turn/"));

const rowsOf = (state: State): Map<string, string> =>
  new Map(
    compared.flatMap((kind) =>
      state
        .list<Kind>(kind)
        .map(({ id, value }): [string, string] => [
          keyOf(kind, id),
          Buffer.from(toBinary<DescMessage>(kind.schema, value)).toString("hex"),
        ])
        .filter(([key]) => !isTurn(key)),
    ),
  );

function poolsOf(state: State): Pools {
  const { addresses, children, numbers } = spaces(state);
  const v4 = spaceName(undefined, 4);
  return {
    addresses: state.folded(addresses, v4),
    prefixes: state.folded(children, v4),
    asn: state.folded(numbers, "asn"),
    vrf: state.folded(numbers, "vrf"),
  };
}

export const groundOf = (state: State): Ground => ({ rows: rowsOf(state), pools: poolsOf(state) });

export function standingIn(state: State, ground: Ground): Standing {
  assert.deepEqual(inconsistencies(state, state.revision), []);
  assert.deepEqual(state.unreadable, []);
  const busy = state
    .list(kinds.machineDesired)
    .flatMap(({ value }) => (value.allocation || value.release ? [value] : []));
  assert.ok(busy.length <= 1, `${busy.length} machines were given away for one call`);
  const [desired] = busy;
  const isNew = (n: Network) => !ground.rows.has(keyOf(kinds.network, n.id));
  const children = state.list(kinds.network).flatMap(({ value }) => (isNew(value) ? [value] : []));
  assert.ok(children.length <= 1, `${children.length} networks were made for one call`);
  const [child] = children;
  const naming = namingIn(state, desired);
  checkRows(state, ground, { desired, child, naming });
  checkPools(state, ground, desired, child);
  const isGoing = child?.meta?.deletionTaskId !== undefined;
  return {
    machine: desired?.allocation ? "allocated" : desired ? "released" : "free",
    name: naming?.is ?? "free",
    network: child ? (isGoing ? "being deleted" : "there") : "none",
    desired,
    child,
  };
}

/** What is claimed of names: at most one, for the machine or for one that is to come. */
function namingIn(state: State, desired: MachineDesired | undefined): Naming | undefined {
  const claims = state.list(kinds.claim).filter(({ id }) => id.startsWith("machine-name/"));
  assert.ok(claims.length <= 1, `${claims.length} names are claimed for one call`);
  const [claim] = claims;
  if (!claim) return undefined;
  const { allocation } = desired ?? {};
  if (!allocation) {
    assert.ok(claim.value.value.startsWith(yetToCome), `${claim.id} is left to ${claim.value.value}`);
    return { id: claim.id, is: "announced" };
  }
  assert.deepEqual([claim.id, claim.value.value], [nameClaim(allocation), allocation.uuid]);
  return { id: claim.id, is: "held" };
}

interface Naming {
  /** Of the claim. */
  readonly id: string;
  readonly is: Exclude<Standing["name"], "free">;
}

/** What it holds, by the state of the machine itself. */
function heldBy({ allocation, release }: MachineDesired): { ips: string[]; asns: number[] } {
  if (!allocation) return { ips: release?.ips ?? [], asns: release?.asns ?? [] };
  assert.equal(release, undefined);
  return {
    ips: allocation.networks.flatMap((n) => n.ips.map((ip) => ipId(undefined, ip))),
    asns: [...new Set(allocation.networks.map((n) => n.asn))],
  };
}

function checkRows(
  state: State,
  ground: Ground,
  { desired, child, naming }: Pick<Standing, "desired" | "child"> & { readonly naming: Naming | undefined },
) {
  const now = rowsOf(state);
  const held = desired && heldBy(desired);
  const added = [
    ...(held?.ips.map((id) => keyOf(kinds.ip, id)) ?? []),
    ...(held?.asns.map((asn) => keyOf(kinds.claim, `asn/${asn}`)) ?? []),
    ...(naming ? [keyOf(kinds.claim, naming.id)] : []),
    ...(child ? [keyOf(kinds.network, child.id), keyOf(kinds.claim, `vrf/${child.vrf}`)] : []),
  ];
  if (desired?.allocation) {
    assert.deepEqual([held?.ips.length, held?.asns.length], [1, 1]);
    const password = keyOf(kinds.consolePassword, desired.uuid);
    if (now.has(password)) added.push(password);
  }
  for (const key of added) assert.ok(now.delete(key), `${key} is missing`);
  assert.deepEqual(now, ground.rows);
}

function checkPools(
  state: State,
  { pools }: Ground,
  desired: MachineDesired | undefined,
  child: Network | undefined,
): void {
  const { ips, asns } = desired ? heldBy(desired) : { ips: [], asns: [] };
  const number = (n: number) => ({ base: BigInt(n), length: 32 });
  const address = (id: string) => {
    const parsed = parseAddress(id.slice(1));
    assert.ok(parsed.ok);
    return addressBlock(parsed.value);
  };

  assert.deepEqual(poolsOf(state), {
    addresses: ips.map(address).reduce(take, pools.addresses),
    prefixes: knownPrefixes(child?.prefixes ?? [])
      .map(prefixBlock)
      .reduce(take, pools.prefixes),
    asn: asns.map(number).reduce(take, pools.asn),
    vrf: (child?.vrf === undefined ? [] : [number(child.vrf)]).reduce(take, pools.vrf),
  });
}
