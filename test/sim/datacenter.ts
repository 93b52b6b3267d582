import { type DescService, fromBinary } from "@bufbuild/protobuf";
import { timestampMs } from "@bufbuild/protobuf/wkt";
import type { Client } from "@connectrpc/connect";
import { desiredOf } from "#agent/boot/site.ts";
import type { State } from "#central/store/state.ts";
import { checkEveryMs } from "#central/sync/claim-life.ts";
import { MachineDesiredSchema, MachineObservedSchema } from "#gen/holdfast/state/v1/machine_pb.ts";
import type { Change } from "#lib/disk.ts";
import { ipv4Text } from "#lib/net/ipv4.ts";
import { macOf } from "#lib/net/mac.ts";
import type { Seeded } from "#lib/seeded.ts";
import { decodeDhcp } from "#pxe-boot/dhcp/codec.ts";
import { optionCode } from "#pxe-boot/dhcp/option-codes.ts";
import { Acknowledged } from "./acknowledged.ts";
import { AgentNode, type AgentPlace } from "./agent-node.ts";
import { AppliedByAgent } from "./applied.ts";
import { type BmcQuirks, honest, simBmc } from "./bmc.ts";
import type { Centrals } from "./central-node.ts";
import { DhcpClient } from "./dhcp-client.ts";
import { SimDisk } from "./disk.ts";
import type { Invariants } from "./invariants.ts";
import { beginMs, type Life } from "./life.ts";
import { Line } from "./line.ts";
import type { NodePorts } from "./process-node.ts";
import { type ServerPlan, SimServer } from "./server.ts";
import { calmStore } from "./store.ts";
import { SimSwitch } from "./switch.ts";
import type { Time } from "./time.ts";
import type { Trace } from "./trace.ts";

/** Option 53, DHCPACK. @source RFC 2132 §9.6 */
const acknowledgement = 5;

/** What all datacenters share. */
export interface Surroundings {
  readonly time: Time;
  readonly trace: Trace;
  readonly central: Centrals;
  /** Calls of an administrator, over a line that no fault touches. */
  asAdmin<S extends DescService>(service: S): Client<S>;
  readonly invariants: Invariants;
  /** Lives as long as the run: whoever watches or waits from outside. */
  readonly outside: Life;
  /** What central's store holds, whoever is alive. */
  readonly truth: State;
  readonly datacenters: readonly Datacenter[];
}

export interface DatacenterPlan {
  readonly partition: string;
  /** Of the first server; the others follow. */
  readonly firstServer: number;
  readonly servers: number;
  readonly homeEveryMs: number;
  /** Whether central knows the agent by a certificate. */
  readonly isJoining: boolean;
}

/** One partition: its agent, the line to central, a switch, and servers. */
export class Datacenter {
  readonly partition: string;
  readonly world: Surroundings;
  readonly random: Seeded;
  readonly agentDisk: SimDisk;
  readonly link: Line;
  readonly agent: AgentNode;
  /** Another agent under the same identity, over a copy of its disk, in the same datacenter. Nobody there talks to it. */
  readonly copyOfAgent: (disk: SimDisk, link: Line) => AgentNode;
  readonly leaf: SimSwitch;
  readonly servers: readonly SimServer[];
  /** Others that ask for an address in the provisioning network. */
  readonly visitors: DhcpClient[] = [];
  /** Servers that are plugged in: only their BMCs answer. */
  readonly pluggedIn = new Set<string>();
  quirks: BmcQuirks = honest;
  imagesUp = true;
  skewMs = 0;
  /** What is in the agent's file for the join string. */
  joinText = "";
  /** The project's private network here. */
  network = "";
  readonly #homeEveryMs: number;
  readonly #applied: AppliedByAgent;
  readonly #acknowledged: Acknowledged;
  /** When a central could not ask its store whether another life of the agent is connected, and let one in. */
  #unclaimedMs = Number.NEGATIVE_INFINITY;

  constructor(plan: DatacenterPlan, world: Surroundings, ports: NodePorts) {
    const { partition, firstServer, servers, homeEveryMs, isJoining } = plan;
    this.partition = partition;
    this.world = world;
    this.random = ports.random.branch(partition);
    this.#homeEveryMs = homeEveryMs;
    this.agentDisk = new SimDisk(this.random.branch("agent's disk"), "disk");
    const { judge, secrets } = world.invariants;
    this.#applied = new AppliedByAgent(partition, judge, (value) => secrets.onTold(partition, value));
    const isCalm = () =>
      this.agentDisk.faults.fullShare === 0 &&
      this.agentDisk.faults.writeMs === this.agentDisk.calm.writeMs &&
      world.central.all.every(({ faults }) => faults.watchMs === calmStore.watchMs);
    this.#acknowledged = new Acknowledged({ partition, agent: () => this.agent.agent, isCalm }, judge);
    this.agentDisk.onWrite = (changes) => this.#onWrite(changes);
    this.agentDisk.onLoss = (table, key) => this.#applied.onLoss(table, key);
    this.link = new Line(world.time, this.random.branch("link"));
    const plans = Array.from({ length: servers }, (_, i) => planOf(firstServer + i, this.random.branch(`plan ${i}`)));
    const onAt = (port: string) => this.servers.find((s) => s.plan.port === port && s.power === "on")?.plan.mac;
    const portNames = plans.map((p) => p.port);
    this.leaf = new SimSwitch(`leaf-${partition}`, this.random.branch("switch"), portNames, onAt);
    this.servers = plans.map((one) => this.#server(one));
    const place: AgentPlace = {
      partition,
      disk: this.agentDisk,
      central: world.central,
      link: this.link,
      bmcs: new Map(this.servers.map((server) => [`10.0.1.${server.plan.port.slice(1)}:623`, this.#bmcOf(server)])),
      bmcPollMs: this.random.branch("BMC polls").pick([60_000, 600_000]),
      switchDriver: (life) => this.leaf.driver(life),
      replies: (xid, bytes) => {
        this.#checkAcknowledged(bytes);
        for (const client of [...this.servers, ...this.visitors]) client.hears(xid, bytes);
      },
      hears: (uuid, life) => world.invariants.sightings.hears(uuid, life),
      reported: (begunMs) => this.#acknowledged.onReported(begunMs),
      imagesUp: () => this.imagesUp,
      skewMs: () => this.skewMs,
      ...(isJoining && { joinText: () => this.joinText }),
    };
    this.agent = new AgentNode(ports, place, `agent-${partition}`);
    let copies = 0;
    this.copyOfAgent = (disk, link) => {
      const copied = { ...place, disk, link, replies: () => {}, reported: () => {} };
      const { joinText } = this;
      // Each draws ids of its own.
      const own = { ...ports, random: ports.random.branch(`copy ${++copies}`) };
      return new AgentNode(own, isJoining ? { ...copied, joinText: () => joinText } : copied, `copy-${partition}`);
    };
  }

  get central(): Centrals {
    return this.world.central;
  }

  visitor(mac: string): DhcpClient {
    const send = (bytes: Uint8Array) => this.agent.hearsDhcp(bytes);
    const visitor = new DhcpClient(mac, this.random.branch(`visitor ${mac} ${this.world.time.nowMs}`), { send });
    this.visitors.push(visitor);
    return visitor;
  }

  /** After every event. */
  check(): void {
    this.#acknowledged.check();
  }

  /** The disk of the agent, which is dead, becomes what the copy holds. */
  setDiskBack(copy: readonly Change[], medium?: "another" | "the same"): void {
    this.#applied.onSetBack();
    this.agentDisk.restore(copy, medium);
    this.world.invariants.onDiskSetBack(this.partition, this.agentDisk.present);
  }

  /** The disk of the agent, which is dead, does not have its last writes. */
  loseLastWrites(count: number): void {
    this.agentDisk.loseLast(count);
    this.#applied.onSetBack();
    this.#applied.onWrite(this.agentDisk.copy());
    this.world.invariants.onDiskSetBack(this.partition, this.agentDisk.present);
  }

  #onWrite(changes: readonly Change[]): void {
    this.#applied.onWrite(changes);
    for (const { table, value } of changes)
      if (table === "observed" && value)
        this.world.invariants.boots.onObserved(this.partition, fromBinary(MachineObservedSchema, value));
  }

  /** Something that a process said. @param who the name of its life */
  note(who: string, event: string, fields: Readonly<Record<string, unknown>>): void {
    const { invariants, time } = this.world;
    if (event === "agent-not-claimed" && fields.partition === this.partition) this.#unclaimedMs = time.nowMs;
    if (who.startsWith(`copy-${this.partition}#`)) {
      // One that stood still believes to follow a stream that central has left long ago.
      const isAwake = time.nowMs - this.agent.runsSinceMs > 60_000;
      const isClaimed = time.nowMs - this.#unclaimedMs > 2 * checkEveryMs;
      const isBeside = isAwake && isClaimed && this.agent.agent?.link.state.phase === "following";
      if (event === "link-up") invariants.onLetIn(this.partition, "copy");
      if (event === "machine-effect" && isBeside) invariants.effects.onCopyActs(String(fields.effect));
    }
    if (!who.startsWith(`agent-${this.partition}#`)) return;
    const { given, disks } = invariants;
    if (event === "link-up") invariants.onLetIn(this.partition, "agent");
    if (event === "machine-effect") {
      const uuid = String(fields.machine);
      const site = this.agent.agent?.site;
      const known = site && desiredOf(site, uuid)?.epoch;
      invariants.effects.onEffect(uuid, String(fields.effect), String(fields.epoch), known);
      invariants.effects.onEffectOf(this.partition, uuid);
      if (fields.effect === "carry-out-order") this.#checkOrder(uuid, String(fields.op));
      if (fields.effect === "refuse-order") this.#checkRefusal(uuid, String(fields.order));
      const { op, effect, epoch } = fields;
      if (op !== undefined)
        invariants.effects.onOperation(String(op), `${effect} of ${uuid} under ${epoch}`, effect === "carry-out-order");
    }
    if (event === "machine-given")
      given.onMachine(this.partition, String(fields.machine), String(fields.budget), BigInt(String(fields.epoch)));
    if (event === "network-made") given.onNetwork(this.partition, String(fields.network), String(fields.budget));
    if (event === "machine-taken-back") given.onTakenBack(String(fields.machine));
    if (event === "machine-installed")
      disks.onInstalled(String(fields.machine), String(fields.epoch), Number(fields.reinstall));
  }

  #server(plan: ServerPlan): SimServer {
    const { world } = this;
    return new SimServer(plan, {
      time: world.time,
      random: this.random,
      homeEveryMs: this.#homeEveryMs,
      agent: () => this.agent,
      network: () => this.leaf.networkOf(plan.port),
      say: (text) => world.trace.say(text),
      onWipe: (server, disk) => world.invariants.disks[disk === "data" ? "onWipeData" : "onWipe"](server),
      onOverwrite: (server) => world.invariants.disks.onOverwrite(server),
      onInstall: (server, epoch) => world.invariants.disks.onInstall(server, epoch),
      onLease: ({ plan: { mac } }, address, untilMs) =>
        world.invariants.leases.onLease(this.partition, mac, address, untilMs),
    });
  }

  #checkAcknowledged(bytes: Uint8Array): void {
    const reply = decodeDhcp(bytes);
    if (!reply.ok || reply.value.options.get(optionCode.messageType)?.[0] !== acknowledgement) return;
    const { yiaddr, hardwareAddress } = reply.value;
    this.world.invariants.leases.onAcknowledged(ipv4Text(yiaddr), macOf(hardwareAddress), this.agentDisk.present);
  }

  /** An order that is about to be carried out. */
  #checkOrder(uuid: string, id: string): void {
    const { agent } = this.agent;
    if (!agent) return;
    const told = agent.site.ledger.get("machine", uuid, MachineDesiredSchema)?.orders.find((one) => one.id === id);
    // People on site go by the agent's clock. A central whose clock is wrong gives orders by that one, until it is set.
    const skewMs = Math.min(...this.world.central.all.map(({ lowestSkewMs }) => lowestSkewMs));
    const nowMs = told ? beginMs + this.world.time.nowMs + skewMs : agent.site.clock.wallMs();
    const order = told ?? agent.onSite.orders.of(uuid).find((one) => one.id === id);
    if (order?.deadline) this.world.invariants.effects.onOrder(id, nowMs - timestampMs(order.deadline));
  }

  /** An order that is about to be refused: of central's, those that are not of an epoch that is over are good until their deadline. */
  #checkRefusal(uuid: string, id: string): void {
    const site = this.agent.agent?.site;
    const desired = site && desiredOf(site, uuid);
    const order = desired?.orders.find((one) => one.id === id);
    if (!order?.deadline || order.epoch !== desired?.epoch) return;
    const skewMs = Math.max(...this.world.central.all.map(({ highestSkewMs }) => highestSkewMs));
    const nowMs = beginMs + this.world.time.nowMs + skewMs;
    this.world.invariants.effects.onRefusedOrder(id, timestampMs(order.deadline) - nowMs);
  }

  #bmcOf(server: SimServer) {
    const { invariants } = this.world;
    const { name } = server.plan;
    const sessions = new Map<Life, number>();
    let calls = 0;
    return (life: Life) => {
      const random = this.random.branch(`bmc ${name} ${++calls}`);
      const quirks = () => (this.pluggedIn.has(name) ? this.quirks : { ...this.quirks, dead: 1 });
      const count = (change: number) => {
        sessions.set(life, (sessions.get(life) ?? 0) + change);
        invariants.effects.onSession(name, life.name, sessions.get(life) ?? 0);
      };
      count(1);
      return simBmc(server, life, random, quirks, {
        onRequest: () => invariants.effects.onRequest(name, life.name),
        onSaid: () => invariants.sightings.saw("bmc", server.uuid, life.wallMs()),
        onClose: () => count(-1),
      });
    };
  }
}

function planOf(number: number, random: Seeded): ServerPlan {
  return {
    name: `m${number}`,
    uuid: `0e6a6e2c-93c4-4a67-9b5f-${String(number).padStart(12, "0")}`,
    mac: `52:54:00:00:00:${number.toString(16).padStart(2, "0")}`,
    port: `p${number}`,
    firmware: random.chance(0.5) ? "efi" : "pcbios",
    first: random.chance(0.5) ? "disk" : "pxe",
  };
}
