// After random operations on networks, addresses and machines what is free is what a plain list says, nothing was
// given twice, and when all is given back all is free.
import assert from "node:assert/strict";
import { test } from "node:test";
import { Code, ConnectError } from "@connectrpc/connect";
import { ipId } from "#domain/ip/ip-id.ts";
import { machineOf } from "#domain/ip/machine-label.ts";
import { addressBlock, familySpace, prefixBlock } from "#domain/network/free.ts";
import { take } from "#domain/network/ipam.ts";
import { usableOf } from "#domain/network/pool.ts";
import { parsePrefixes } from "#domain/network/rules.ts";
import { NetworkService as AdminNetworkService } from "#gen/metalstack/admin/v2/network_pb.ts";
import { type IP, IPAddressFamily, IPService, IPType } from "#gen/metalstack/api/v2/ip_pb.ts";
import { MachineService } from "#gen/metalstack/api/v2/machine_pb.ts";
import { type Network, NetworkService, NetworkType } from "#gen/metalstack/api/v2/network_pb.ts";
import { type Family, parseAddress } from "#lib/net/prefix.ts";
import { Seeded } from "#lib/seeded.ts";
import { kinds } from "../store/kinds.ts";
import { aWaiting, type MachineCentral, machineCentral, machineUuid } from "../testing/machines.ts";
import { spaceName, spaces } from "./spaces.ts";

const operations = 10_000;
const machines = 6;

test(`${operations} operations`, async () => {
  const central = await machineCentral();
  try {
    const world = await World.made(central);
    for (let done = 0, checked = 0; done < operations; ) {
      done += await world.step();
      if (done - checked < 500) continue;
      checked = done;
      world.check();
    }
    await world.giveAllBack();
    world.check();
  } finally {
    await central.close();
  }
});

const known = <T extends { readonly ok: boolean }>(parsed: T): Extract<T, { ok: true }> => {
  assert.ok(parsed.ok);
  return parsed as Extract<T, { ok: true }>; // as just asserted
};
const prefixesOf = (network: Network, family: Family) =>
  known(parsePrefixes(network.prefixes)).value.filter((p) => p.family === family);
const isRefused = (code: Code) => (e: unknown) => e instanceof ConnectError && e.code === code;

/** What should be there, and the hands that change it. */
class World {
  readonly #random = new Seeded(7);
  readonly #central: MachineCentral;
  readonly #base: readonly Network[];
  readonly #children = new Map<string, Network>();
  /** By namespace and address. */
  readonly #ips = new Map<string, IP>();
  /** Machines that have an allocation, with their project. */
  readonly #allocated = new Map<string, string>();
  readonly #projects: readonly string[];

  static async made(central: MachineCentral): Promise<World> {
    const admin = central.client(AdminNetworkService);
    const both = { ipv4: 26, ipv6: 64 };
    await admin.create({
      id: "ns",
      type: NetworkType.SUPER_NAMESPACED,
      prefixes: ["10.0.0.0/22", "2001:db8::/60"],
      defaultChildPrefixLength: both,
    });
    const external = { id: "internet", type: NetworkType.EXTERNAL, vrf: 4711 };
    await admin.create({ ...external, prefixes: ["192.0.2.0/27", "198.51.100.0/28", "2001:db8:1::/123"] });
    const wide = { id: "wide", type: NetworkType.SUPER, defaultChildPrefixLength: both };
    await admin.create({ ...wide, prefixes: ["172.16.0.0/22", "2001:db8:8::/60"] });
    await central.waiting(machines);
    const projects = [central.project, await central.newProject("second")];
    return new World(central, projects, (await admin.list({})).networks);
  }

  private constructor(central: MachineCentral, projects: readonly string[], networks: readonly Network[]) {
    this.#central = central;
    this.#projects = projects;
    this.#base = networks.filter((n) => n.type !== NetworkType.CHILD);
    for (const n of networks) if (n.type === NetworkType.CHILD) this.#children.set(n.id, n);
  }

  /** @returns how many operations it was */
  async step(): Promise<number> {
    const chance = this.#random.below(100);
    if (chance < 45) return await this.#takeSome();
    if (chance < 50) return await this.#takeThis();
    if (chance < 80) return await this.#giveSome();
    if (chance < 86) return await this.#newChild();
    if (chance < 91) return await this.#dropChild();
    return await (this.#random.chance(0.5) ? this.#allocate() : this.#release());
  }

  #networks(): Network[] {
    return [...this.#base.filter((n) => n.type === NetworkType.EXTERNAL), ...this.#children.values()];
  }

  #used({ id }: Network): IP[] {
    return [...this.#ips.values()].filter((ip) => ip.network === id);
  }

  /** Who may take addresses of it. */
  #userOf({ project, type }: Network): string {
    return project === undefined || type === NetworkType.CHILD_SHARED ? this.#random.pick(this.#projects) : project;
  }

  #add(ip: IP | undefined): void {
    assert.ok(ip);
    const key = `${ip.namespace ?? ""}/${ip.ip}`;
    assert.ok(!this.#ips.has(key), `${key} was given twice`);
    this.#ips.set(key, ip);
  }

  /** Several at once: as many as there are free ones come through. */
  async #takeSome(): Promise<number> {
    const network = this.#random.pick(this.#networks());
    const families = [4, 6].filter((f) => prefixesOf(network, f as Family).length > 0) as Family[];
    const family = this.#random.pick(families);
    const usable = prefixesOf(network, family).reduce((sum, p) => sum + usableOf(p), 0n);
    const used = this.#used(network).filter((ip) => ip.ip.includes(":") === (family === 6)).length;
    const free = usable - BigInt(used);
    const addressFamily = family === 4 ? IPAddressFamily.IP_ADDRESS_FAMILY_V4 : IPAddressFamily.IP_ADDRESS_FAMILY_V6;
    const type = this.#random.chance(0.2) ? IPType.IP_TYPE_STATIC : IPType.IP_TYPE_EPHEMERAL;
    const request = { network: network.id, project: this.#userOf(network), addressFamily, type };
    const count = 1 + this.#random.below(8);
    const client = this.#central.client(IPService);
    const all = await Promise.allSettled(Array.from({ length: count }, () => client.create(request)));
    for (const one of all) {
      if (one.status === "fulfilled") this.#add(one.value.ip);
      else assert.ok(isRefused(Code.ResourceExhausted)(one.reason), String(one.reason));
    }
    const given = all.filter((one) => one.status === "fulfilled").length;
    assert.equal(given, Number(free < BigInt(count) ? free : BigInt(count)));
    return count;
  }

  /** One that is taken is refused, and free again when it was given back. */
  async #takeThis(): Promise<number> {
    const ip = this.#anyOf([...this.#ips.values()].filter((i) => !this.#isOfMachine(i)));
    if (!ip) return 1;
    const client = this.#central.client(IPService);
    const again = { network: ip.network, project: ip.project, ip: ip.ip };
    await assert.rejects(client.create(again), isRefused(Code.AlreadyExists));
    const given = await this.#give(ip);
    if (given) this.#add((await client.create({ network: given.network, project: given.project, ip: given.ip })).ip);
    return 3;
  }

  async #giveSome(): Promise<number> {
    let count = 0;
    for (; count < 4; count++) {
      const ip = this.#anyOf([...this.#ips.values()]);
      if (!ip) break;
      const [, meant] = this.#meantBy(ip) ?? [];
      if (!meant || !this.#isOfMachine(meant)) await this.#give(ip);
      else await assert.rejects(this.#delete(ip), isRefused(Code.FailedPrecondition));
    }
    return count;
  }

  #delete({ ip, project }: IP) {
    return this.#central.client(IPService).delete({ ip, project });
  }

  /** Its key and itself: without a namespace the API means the first of the project's, and one outside of all comes first. */
  #meantBy({ ip, project }: IP): [string, IP] | undefined {
    const all = [...this.#ips].filter(([, there]) => there.project === project && there.ip === ip);
    return all.sort(([a], [b]) => (a < b ? -1 : 1))[0];
  }

  /** @returns which was given back */
  async #give(ip: IP): Promise<IP | undefined> {
    const [key, meant] = this.#meantBy(ip) ?? [];
    if (!key || !meant || this.#isOfMachine(meant)) return undefined;
    const deleted = (await this.#delete(ip)).ip;
    assert.equal(deleted?.uuid, meant.uuid);
    this.#ips.delete(key);
    return meant;
  }

  async #newChild(): Promise<number> {
    const parent = this.#random.pick(this.#base.filter((n) => n.type !== NetworkType.EXTERNAL));
    const wanted = { project: this.#random.pick(this.#projects), parentNetwork: parent.id };
    const length = this.#random.chance(0.5) ? {} : { length: { ipv4: 24 + this.#random.below(6) } };
    const { CHILD, CHILD_SHARED } = NetworkType;
    const type = this.#random.chance(0.2) ? CHILD_SHARED : CHILD;
    // A project has one network for others.
    const isOneTooMany = type === CHILD_SHARED && this.#sharedBy(wanted.project) !== undefined;
    try {
      const { network } = await this.#central.client(AdminNetworkService).create({ ...wanted, ...length, type });
      assert.ok(network && !isOneTooMany);
      this.#children.set(network.id, network);
    } catch (error) {
      assert.ok(isRefused(isOneTooMany ? Code.AlreadyExists : Code.ResourceExhausted)(error), String(error));
    }
    return 1;
  }

  #sharedBy(project: string): Network | undefined {
    return [...this.#children.values()].find((n) => n.type === NetworkType.CHILD_SHARED && n.project === project);
  }

  async #dropChild(): Promise<number> {
    const child = this.#anyOf([...this.#children.values()]);
    if (!child || child.id === this.#central.network) return 1;
    const { id, project = "" } = child;
    const deletion = this.#central.client(NetworkService).delete({ id, project });
    if (this.#used(child).length > 0) await assert.rejects(deletion, isRefused(Code.FailedPrecondition));
    else {
      await deletion;
      this.#children.delete(id);
    }
    return 1;
  }

  /** In a network of its own or one that is shared, maybe also on the internet, with free addresses or some of the project's own. */
  async #allocate(): Promise<number> {
    const home = this.#random.pick([...this.#children.values()]);
    const project = this.#userOf(home);
    const others = this.#base.filter((n) => n.type === NetworkType.EXTERNAL && this.#random.chance(0.5));
    const joined = [home, ...others];
    const networks = joined.map((network) => ({ network: network.id, ips: this.#givenOf(network, project) }));
    try {
      const { machine } = await this.#central.create({ project, networks });
      assert.ok(machine && !this.#allocated.has(machine.uuid), "a machine was given twice");
      this.#allocated.set(machine.uuid, project);
      for (const [i, { ips }] of (machine.allocation?.networks ?? []).entries())
        for (const ip of ips) this.#isGiven(ipId(joined[i]?.namespace, ip), networks[i]?.ips.includes(ip) ?? false);
    } catch (error) {
      assert.ok(isRefused(Code.ResourceExhausted)(error), String(error));
    }
    return 1;
  }

  /** Now and then one of the project's own addresses there. */
  #givenOf(network: Network, project: string): string[] {
    if (this.#random.chance(0.5)) return [];
    const own = this.#used(network).filter((ip) => ip.project === project && !this.#isOfMachine(ip));
    const one = this.#anyOf(own);
    return one ? [one.ip] : [];
  }

  #isGiven(id: string, wasOwn: boolean): void {
    const ip = this.#central.state.get(kinds.ip, id)?.value;
    assert.ok(ip && this.#isOfMachine(ip) && this.#ips.has(id) === wasOwn, `${id} was given to a machine`);
    this.#ips.set(id, ip);
  }

  #isOfMachine(ip: IP): boolean {
    return machineOf(ip) !== undefined;
  }

  /** Its agent isolates and wipes it at once. */
  async #release(): Promise<number> {
    const [uuid, project] = this.#anyOf([...this.#allocated]) ?? [];
    if (!uuid || !project) return 1;
    const tied = this.#random.chance(0.5) ? this.#tie(uuid, project) : undefined;
    await Promise.all([tied, this.#central.client(MachineService).delete({ uuid, project })]);
    const { epoch } = this.#central.desired(uuid);
    await this.#central.report({ ...aWaiting(uuid), epoch, wipedEpoch: epoch, isolatedEpoch: epoch });
    this.#allocated.delete(uuid);
    for (const [key, ip] of this.#ips) {
      if (machineOf(ip) !== uuid) continue;
      // Static ones stay with the project.
      const kept = this.#central.state.get(kinds.ip, key)?.value;
      assert.equal(kept !== undefined, ip.type === IPType.IP_TYPE_STATIC);
      if (kept) this.#ips.set(key, kept);
      else this.#ips.delete(key);
    }
    return 1;
  }

  /** Another address to a machine that is just being given back: whether or not it comes before that, it does not stay. */
  async #tie(machine: string, project: string): Promise<void> {
    const isOpen = (n: Network) => (n.project ?? project) === project || n.type === NetworkType.CHILD_SHARED;
    const network = this.#random.pick(this.#networks().filter(isOpen)).id;
    try {
      await this.#central.client(IPService).create({ project, network, machine });
    } catch (error) {
      const isExpected = [Code.ResourceExhausted, Code.NotFound].some((code) => isRefused(code)(error));
      assert.ok(isExpected, String(error));
    }
  }

  #anyOf<T>(all: readonly T[]): T | undefined {
    return all.length === 0 ? undefined : this.#random.pick(all);
  }

  async giveAllBack(): Promise<void> {
    while (this.#allocated.size > 0) await this.#release();
    while (this.#ips.size > 0) for (const ip of this.#ips.values()) await this.#give(ip);
    const client = this.#central.client(NetworkService);
    for (const { id, project = "" } of this.#children.values()) await client.delete({ id, project });
    this.#children.clear();
  }

  check(): void {
    const { state } = this.#central;
    const { addresses, children, numbers } = spaces(state);
    assert.deepEqual(
      state.list(kinds.ip).map((row) => row.id),
      [...this.#ips.keys()].sort(),
    );
    for (const namespace of [undefined, ...this.#projects]) {
      for (const family of [4, 6] as const) {
        const isHere = (n: { readonly namespace?: string | undefined }) => n.namespace === namespace;
        const taken = [...this.#ips.values()].filter(isHere).map((ip) => known(parseAddress(ip.ip)).value);
        const blocks = taken.filter((a) => a.family === family).map(addressBlock);
        const cut = [...this.#children.values()]
          .filter(isHere)
          .flatMap((n) => prefixesOf(n, family))
          .map(prefixBlock);
        const name = spaceName(namespace, family);
        assert.deepEqual(state.folded(addresses, name), blocks.reduce(take, familySpace(family)));
        assert.deepEqual(state.folded(children, name), cut.reduce(take, familySpace(family)));
      }
    }
    const claims = (what: string) => state.list(kinds.claim).filter((row) => row.id.startsWith(what)).length;
    assert.equal(claims("vrf/"), this.#children.size + 1);
    assert.equal(claims("asn/"), this.#allocated.size);
    if (this.#allocated.size === 0) assert.equal(state.folded(numbers, "asn").taken, undefined);
    const uuids = new Set([...this.#allocated.keys()]);
    for (let n = 1; n <= machines; n++) {
      const uuid = machineUuid(n);
      assert.equal(this.#central.desired(uuid).allocation !== undefined, uuids.has(uuid));
    }
  }
}
