// What the datacenter does while the link is cut, row by row and column by column, found out by doing it.
import { tenantNetwork } from "#agent/switch/switch.ts";
import { kinds } from "#central/store/kinds.ts";
import { budgetOf } from "#domain/budget/items.ts";
import type { MachineDesired } from "#gen/holdfast/state/v1/machine_pb.ts";
import { MachineAllocationType, MachineBMCCommand, MachineLiveliness } from "#gen/metalstack/api/v2/machine_pb.ts";
import { NetworkService } from "#gen/metalstack/api/v2/network_pb.ts";
import type { Change } from "#lib/disk.ts";
import { parseMac } from "#lib/net/mac.ts";
import { checked } from "#lib/result.ts";
import { grantBudget } from "./budgets.ts";
import { image, size } from "./catalog.ts";
import {
  beyondBudget,
  consoleOnSite,
  lastOnRecord,
  listedByClerk,
  orderOnSite,
  powerOnSite,
} from "./contract-on-site.ts";
import { type Cell, type Column, doneOf, type Row, yes } from "./contract-rows.ts";
import type { Datacenter } from "./datacenter.ts";
import type { SimServer } from "./server.ts";
import { User } from "./user.ts";
import { World } from "./world.ts";

type FiveServers = [SimServer, SimServer, SimServer, SimServer, SimServer];

const minuteMs = 60_000;
const dayMs = 24 * 60 * minuteMs;
const certificateMs = 5 * dayMs;
/** How far the agent's clock has drifted after a week without anybody to set it. */
const driftMs = 2 * minuteMs;
const userdata = Buffer.from("#!/bin/sh\necho hello\n").toString("base64");

/** One column: one world in which everything of the table happens. Machines: 1 in use and being reinstalled, 2 given back, 3 being installed, 4 unknown, 5 delegated. */
export class ContractWorld {
  readonly column: Column;
  readonly world: World;
  readonly #user: User;
  #backup: readonly Change[] = [];
  #address = "";
  /** Network that the agent made. */
  #made = "";
  /** What people on site did last, as its trace is called. */
  #act = "";
  /** When the machine that is reinstalled had written its data (virtual milliseconds). */
  #dataMs = 0;
  /** Ends the cut. */
  #heal = () => {};
  /** What was wrong with a system that was in use for the whole of the cut. */
  #unheard = "";

  constructor(column: Column) {
    this.column = column;
    // In a week a sign of life every four minutes is enough of them.
    const homeEveryMs = column === "cut 7 days" ? 4 * minuteMs : minuteMs;
    this.world = new World({ seed: 7, servers: [5], homeEveryMs, certificateMs });
    this.#user = new User(this.world);
  }

  get #isCut(): boolean {
    return this.column.startsWith("cut");
  }

  /** @returns the cells, by row */
  async cells(): Promise<ReadonlyMap<Row, Cell>> {
    await this.#prepare();
    const cells = new Map<Row, Cell>();
    const say = (row: Row, cell: Cell) => void cells.set(row, cell);
    await this.#pass();
    const [inUse, given, installed, stranger] = this.world.home.servers as FiveServers;

    say("DHCP: a lease is renewed", await this.#renews());
    say("DHCP: a known machine asks", yes((await this.#asks(inUse.plan.mac)) !== undefined, "no answer"));
    say("PXE boot of a known machine", yes((await this.#script(inUse)) === "disk", `${await this.#script(inUse)}`));
    const firmware = "efi" as const;
    const unknown = { mac: "52:54:00:00:00:99", uuid: "0e6a6e2c-93c4-4a67-9b5f-000000000099", firmware };
    say("PXE boot of an unknown server", yes((await this.#script({ plan: unknown })) === "installer", "no installer"));
    this.world.home.pluggedIn.add(stranger.plan.name);
    await this.#until(() => this.#observed(stranger)?.waiting === true, 30 * minuteMs);
    const isWaiting = this.#observed(stranger)?.waiting === true;
    say("registration of an unknown server", await this.#told(stranger, isWaiting, "it does not wait"));

    const done = this.#isInstalled(installed);
    const why = String(this.#observed(installed)?.progress?.why);
    say("a running installation finishes", await this.#told(installed, done, why));
    const written = installed.disk.files.get("/etc/holdfast/userdata");
    say("userdata reaches the machine", yes(written !== undefined, "no userdata on the disk"));
    say(
      "the image was cached before, its source is away",
      yes(done && !this.world.home.imagesUp, "it was not installed"),
    );
    const home = this.#observed(installed)?.phonedHomeEpoch === this.#desired(installed)?.epoch;
    const isHeard = home && this.#unheard === "";
    const unheard = `${installed.doing}${this.#unheard}`;
    say("phone-home of an installed system", await this.#told(installed, isHeard, unheard));
    const port = this.world.home.leaf.networkOf(installed.plan.port);
    say("the switch port moves after the installation", yes(port.startsWith("hf"), `it is in ${port}`));
    say("a delete that was ordered before is carried out", await this.#told(given, this.#isClean(given), given.doing));
    say("a reinstall that was ordered before is carried out", await this.#reinstalled(inUse));
    say("power on and off by people on site", await this.#in(powerOnSite(this.world, stranger)));
    say("console by people on site", await this.#in(consoleOnSite(this.world, stranger)));
    say("what people on site did is on record", await this.#onRecord());
    const within = this.#createdWithin();
    const networkWithin = this.#networkWithin();
    const where = this.#isCut ? "agent" : "central";
    const beyond = this.#isCut ? await this.#in(beyondBudget(this.#createAt(this.world.home))) : undefined;
    const networkBeyond = await this.#in(beyondBudget(this.#createNetwork(where)));
    say("machines are listed on site with a token of eight hours", await this.#in(listedByClerk(this.world)));
    say("the agent restarts and knows what it knew", await this.#restarts());
    say("the link comes back: the certificate of five days lets the agent in", await this.#letIn());
    say("the link comes back, if need be with a new join token: all that was done is told", await this.#allTold());
    say("the agent is put up again from its backup", await this.#fromBackup());
    say("a machine is created within a budget", within);
    say("a machine is created beyond the budget", beyond ?? (await this.#in(beyondBudget(this.#user.create()))));
    say("a network is created within a budget, and the machine in it", networkWithin);
    say("a network is created beyond the budget", networkBeyond);
    return cells;
  }

  async #prepare(): Promise<void> {
    const { world } = this;
    await world.begin();
    world.home.pluggedIn.delete("m4");
    const [inUse, given, installed, , delegated] = world.home.servers as FiveServers;
    const free = [inUse, given, installed, delegated];
    await this.#until(
      () => free.every((s) => this.#reported(s)?.isolatedEpoch === 1n && this.#reported(s)?.waiting === true),
      30 * minuteMs,
    );
    for (const server of [inUse, given]) await this.#create(server);
    await this.#until(() => [inUse, given].every((s) => s.doing === "system, welcome"), 30 * minuteMs);
    const address = await this.#in(world.home.visitor("52:54:00:00:00:77").acquire(world.outside));
    this.#address = address ?? "";
    await this.#create(installed);
    await this.#in(this.#grant());
    await this.#in(this.#user.delete(given.uuid));
    this.#dataMs = inUse.data.writtenMs;
    await this.#in(this.#user.reinstall(inUse.uuid));
    // All orders have arrived; none is carried out yet.
    const [held, freed, twice] = [installed, given, inUse].map((s) => () => this.#ledger(s));
    await this.#until(
      () => held?.()?.allocation !== undefined && !freed?.()?.allocation && twice?.()?.reinstall !== undefined,
      minuteMs,
    );
    this.#backup = world.home.agentDisk.copy();
  }

  /** What the column is. */
  async #pass(): Promise<void> {
    const { world } = this;
    world.home.imagesUp = false;
    if (this.column !== "link up") this.#heal = world.home.link.cut();
    if (this.column === "cut 7 days") await this.#sevenDays();
    else await world.run(minuteMs);
    this.#made = await this.#in(this.#createNetwork("agent"));
    await this.#in(this.#createAt(world.home));
    if (this.column === "cut, agent restarted") await this.#restart();
    const [inUse, given, installed, , delegated] = world.home.servers as FiveServers;
    const isThere = (server: SimServer) => server.doing === "system, welcome";
    await this.#until(
      () => this.#isClean(given) && [installed, delegated, inUse].every(isThere) && this.#reinstalls(inUse) === 1,
      40 * minuteMs,
    );
    if (this.column !== "rejoined") return;
    this.#heal();
    await this.#until(() => world.home.agent.agent?.outbox.size === 0, 10 * minuteMs);
  }

  /**
   * The week goes by before what was begun can end: the power of those that are to be installed and wiped is gone, and so is the BMC of
   * the one that is to be reinstalled, whose system stays in use meanwhile. What is delegated is switched off: a week of installers that
   * say each quarter of a minute that they live would be a week of nothing else.
   */
  async #sevenDays(): Promise<void> {
    const { world } = this;
    const { home } = world;
    const [inUse, given, installed, , delegated] = home.servers as FiveServers;
    const dark = [given, installed];
    for (const { plan } of [inUse, ...dark]) home.pluggedIn.delete(plan.name);
    for (const server of dark) server.switchTo("off");
    await this.#in(orderOnSite(this.world, delegated, MachineBMCCommand.MACHINE_BMC_COMMAND_OFF));
    await world.run(7 * dayMs);
    const isDone = this.#isClean(given) || this.#isInstalled(installed) || this.#reinstalls(inUse) > 0;
    if (isDone) throw new Error("something has ended before the week was over");
    const { liveliness } = this.#observed(inUse) ?? {};
    if (inUse.doing !== "system, welcome" || liveliness !== MachineLiveliness.ALIVE)
      this.#unheard = `, and the one that was in use meanwhile: ${inUse.doing}`;
    home.skewMs = driftMs;
    for (const { plan } of [inUse, ...dark]) home.pluggedIn.add(plan.name);
    await this.#in(orderOnSite(this.world, delegated, MachineBMCCommand.MACHINE_BMC_COMMAND_ON));
    await this.#until(() => this.#observed(delegated)?.waiting === true, 30 * minuteMs);
  }

  /** @param is whether it is done in the datacenter. Then central knows it, or is told by what waits in the agent's outbox. */
  async #told(server: SimServer, is: boolean, why: string): Promise<Cell> {
    if (!is) return `refused: ${why}`;
    const isKnown = () => doneOf(this.#reported(server)) === doneOf(this.#observed(server));
    if (!this.#isCut) {
      await this.#until(isKnown, minuteMs);
      return yes(isKnown(), `central knows ${doneOf(this.#reported(server))} of ${doneOf(this.#observed(server))}`);
    }
    return isKnown() ? "refused: central knows of it, and cannot" : this.#queued("machine", server.uuid);
  }

  #queued(kind: string, id: string): Cell {
    const waiting = this.world.home.agent.agent?.outbox.pending(Number.POSITIVE_INFINITY) ?? [];
    const isThere = waiting.some((entry) => entry.kind === kind && entry.id === id);
    return isThere ? "works, report queued" : "refused: nothing waits to tell central of it";
  }

  #isInstalled = (server: SimServer): boolean =>
    this.#desired(server)?.epoch === this.#observed(server)?.installedEpoch;

  #isClean = (server: SimServer): boolean =>
    this.#observed(server)?.waiting === true &&
    server.disk.epoch === 0n &&
    this.world.home.leaf.networkOf(server.plan.port) === "prov";

  async #renews(): Promise<Cell> {
    const { world } = this;
    const visitor = world.home.visitor("52:54:00:00:00:77");
    const again = await this.#in(visitor.renew(world.outside, this.#address));
    // A week is longer than any lease: whoever was away gets the same address anew.
    const got = again ?? (await this.#in(visitor.acquire(world.outside)));
    return yes(got === this.#address, `${got} instead of ${this.#address}`);
  }

  #asks(mac: string): Promise<string | undefined> {
    return this.#in(this.world.home.visitor(mac).acquire(this.world.outside));
  }

  async #script({ plan }: { readonly plan: Pick<SimServer["plan"], "mac" | "uuid" | "firmware"> }): Promise<string> {
    const client = { ...plan, mac: checked(parseMac(plan.mac)) };
    const script = await this.#in(this.world.home.agent.script(this.world.outside, client));
    return script?.kind === "later" ? `refused: ${script.why}` : (script?.kind ?? "no answer");
  }

  #reinstalls = (server: SimServer): number => this.#observed(server)?.reinstall?.installed ?? 0;

  /** Another system than before is in use, and what the former one had written to the second disk is still there. */
  async #reinstalled(server: SimServer): Promise<Cell> {
    if (server.data.writtenMs !== this.#dataMs || this.#dataMs === 0) return "refused: its data is gone";
    const isDone = this.#reinstalls(server) === 1 && server.doing === "system, welcome";
    return await this.#told(server, isDone, String(this.#observed(server)?.progress?.why));
  }

  async #onRecord(): Promise<Cell> {
    this.#act = await this.#in(lastOnRecord(this.world));
    if (this.#act === "") return "refused: nothing is on record";
    if (this.#isCut)
      return this.#isActKnown() ? "refused: central knows of it, and cannot" : this.#queued("audit", this.#act);
    await this.#until(this.#isActKnown, minuteMs);
    return yes(this.#isActKnown(), "central has not heard of it");
  }

  #isActKnown = (): boolean =>
    this.world.truth.get(kinds.siteAudit, `${this.world.home.partition}/${this.#act}`) !== undefined;

  /** One machine is delegated, the only one that waits, and one network. */
  async #grant(): Promise<void> {
    const { world } = this;
    await grantBudget(world, world.home, { machines: 1, addresses: 2, networks: 1 });
    await this.#until(() => this.#ledger(world.home.servers[4]!)?.delegated !== undefined, minuteMs);
  }

  /** In the network that the agent has made. */
  async #createAt({ agent, partition }: Datacenter): Promise<void> {
    const { project, outside } = this.world;
    const networks = [{ network: this.#made, ips: [] }];
    const wanted = { project, partition, size, image, name: "cut", networks };
    await agent.people(outside).machines.create({ ...wanted, allocationType: MachineAllocationType.MACHINE });
  }

  /** @returns its id */
  async #createNetwork(where: "central" | "agent"): Promise<string> {
    const { project, outside, home } = this.world;
    const { partition, agent } = home;
    const networks = where === "agent" ? agent.people(outside).networks : this.world.asAdmin(NetworkService);
    return (await networks.create({ project, partition, name: "cut" })).network?.id ?? "";
  }

  /** The machine's port is in it, and central's record of it is an ordinary one as soon as central can be reached. */
  #networkWithin(): Cell {
    const { truth, home } = this.world;
    const { vrf, name } = truth.get(kinds.network, this.#made)?.value ?? {};
    const port = home.leaf.networkOf(home.servers[4]!.plan.port);
    if (port !== tenantNetwork(vrf ?? 0)) return `refused: the machine is in ${port}`;
    const isOrdinary = name === "cut" && budgetOf(truth.get(kinds.network, this.#made)?.value) === undefined;
    return this.#adopted(isOrdinary, "local-network", this.#made);
  }

  /** In use, and central's record of it is an ordinary one as soon as central can be reached. */
  #createdWithin(): Cell {
    const server = this.world.home.servers[4]!;
    if (server.doing !== "system, welcome") return `refused: ${this.#observed(server)?.progress?.why}`;
    const { allocation, delegated, epoch } = this.#desired(server) ?? {};
    const isOrdinary = allocation?.name === "cut" && delegated === undefined && epoch === server.disk.epoch;
    return this.#adopted(isOrdinary, "local-machine", server.uuid);
  }

  #adopted(isOrdinary: boolean, kind: string, id: string): Cell {
    if (!this.#isCut) return yes(isOrdinary, "central has not adopted it");
    return isOrdinary ? "refused: central knows of it, and cannot" : this.#queued(kind, id);
  }

  get #isFollowing(): boolean {
    return this.world.home.agent.agent?.link.state.phase === "following";
  }

  async #letIn(): Promise<Cell> {
    const { home } = this.world;
    this.#heal();
    await this.#until(() => this.#isFollowing, 5 * minuteMs);
    return yes(this.#isFollowing, `${home.agent.agent?.onSite.certificate()?.problem}`);
  }

  /** Then the link is as the column has it again. */
  async #allTold(): Promise<Cell> {
    const { world } = this;
    const { home, truth } = world;
    const wait = async (isSo: () => boolean) => await this.#until(isSo, 10 * minuteMs);
    if (!this.#isFollowing) await this.#in(world.doorkeeper!.letIn(home));
    await wait(() => this.#isFollowing && home.agent.agent?.outbox.size === 0);
    const isKnown = (server: SimServer) => doneOf(this.#reported(server)) === doneOf(this.#observed(server));
    const isAdopted = () =>
      this.#desired(home.servers[4]!)?.allocation?.name === "cut" && truth.get(kinds.network, this.#made) !== undefined;
    await wait(() => home.servers.every(isKnown) && isAdopted() && this.#isActKnown());
    const untold = home.servers.filter((server) => !isKnown(server)).map(({ plan }) => plan.name);
    if (this.#isCut) this.#heal = home.link.cut();
    await world.run(minuteMs);
    const isAllTold = untold.length === 0 && isAdopted() && this.#isActKnown();
    return yes(isAllTold, `central knows not all of ${untold.join(", ")}`);
  }

  async #restarts(): Promise<Cell> {
    const known = () =>
      this.world.home.servers
        .map((s) => `${this.#ledger(s)?.epoch} ${this.#observed(s)?.installedEpoch} ${this.#observed(s)?.boot}`)
        .join(", ");
    const before = known();
    await this.#restart();
    const after = known();
    return yes(after === before, `${after} instead of ${before}`);
  }

  async #restart(): Promise<void> {
    this.world.home.agent.kill();
    await this.#in(this.world.home.agent.start());
  }

  /** The backup is of before the column: of a machine that was installed since it knows nothing. */
  async #fromBackup(): Promise<Cell> {
    const { world } = this;
    const installed = world.home.servers[2]!;
    const { epoch } = installed.disk;
    world.home.agent.kill();
    world.home.setDiskBack(this.#backup);
    await this.#in(world.home.agent.start());
    await world.run(30 * minuteMs);
    if (installed.disk.epoch !== epoch || !installed.doing.startsWith("system"))
      return "refused: it wiped a machine in use";
    const why = world.home.agent.agent?.site.safeMode.why;
    return why === undefined
      ? "works"
      : `refused: it serves, and does nothing that cannot be taken back; it waits for ${why}`;
  }

  #observed(server: SimServer) {
    return this.world.home.agent.agent?.site.observations.get(server.uuid);
  }

  #reported(server: SimServer) {
    return this.world.truth.get(kinds.machineObserved, server.uuid)?.value;
  }

  #ledger(server: SimServer): MachineDesired | undefined {
    return this.world.home.agent.agent?.site.ledger.get("machine", server.uuid, kinds.machineDesired.schema);
  }

  #desired(server: SimServer): MachineDesired | undefined {
    return this.world.truth.get(kinds.machineDesired, server.uuid)?.value;
  }

  #create(server: SimServer): Promise<void> {
    return this.#in(this.#user.create({ uuid: server.uuid, userdata }));
  }

  #in<T>(work: Promise<T>): Promise<T> {
    return this.world.until(work, 10 * minuteMs);
  }

  /** Lets time pass until it is so, at most so long. */
  #until(isSo: () => boolean, ms: number): Promise<void> {
    return this.world.run(ms, isSo);
  }
}
