// Gives machines, addresses and networks away within the budgets that central has granted, whether or not it can be reached.
// Invariants: one thing at a time, and durable before it is answered; what was used once is not used again before central has adopted
// it; what central is told about a budget's use comes after what was given away out of it.
import { create } from "@bufbuild/protobuf";
import { isAdopted } from "#domain/budget/effective.ts";
import { addressesIn, noItems, usedItems, withoutItems } from "#domain/budget/items.ts";
import { ipId } from "#domain/ip/ip-id.ts";
import { machineLabel } from "#domain/ip/machine-label.ts";
import { ephemeralIp, machineNetwork, newAllocation } from "#domain/machine/allocation.ts";
import { type Resolved, resolveCreate, roleOf } from "#domain/machine/create.ts";
import { nextEpoch } from "#domain/machine/epoch.ts";
import { type MachineView, placeMachine, unfitText } from "#domain/machine/placement.ts";
import {
  type Budget,
  type BudgetItems,
  BudgetSchema,
  BudgetUseSchema,
  type LocalAnswer,
  type LocalMachine,
  LocalMachineSchema,
} from "#gen/holdfast/state/v1/budget_pb.ts";
import { MachineDesiredSchema, ReleaseSchema } from "#gen/holdfast/state/v1/machine_pb.ts";
import type { IP } from "#gen/metalstack/api/v2/ip_pb.ts";
import {
  MachineAllocationType,
  type MachineServiceCreateRequest,
  MachineState,
} from "#gen/metalstack/api/v2/machine_pb.ts";
import type { Network } from "#gen/metalstack/api/v2/network_pb.ts";
import { Bell } from "#lib/bell.ts";
import { textFamily } from "#lib/net/prefix.ts";
import { OneByOne } from "#lib/one-by-one.ts";
import type { Random } from "#lib/random.ts";
import { Refusal } from "#lib/refusal.ts";
import { sometimes } from "#lib/sometimes.ts";
import { desiredOf, type Site } from "../boot/site.ts";
import { createReads } from "./create-reads.ts";

const retryMs = 5_000;

export interface BudgetsPorts {
  readonly site: Site;
  readonly random: Random;
  /** Called after something of a machine is durable. */
  readonly changed: (uuid: string) => void;
}

export class Budgets {
  readonly #ports: BudgetsPorts;
  readonly #bell = new Bell();
  readonly #turns = new OneByOne();

  constructor(ports: BudgetsPorts) {
    this.#ports = ports;
  }

  /** Central has said something about budgets, or about a machine that was given away here. */
  wake(): void {
    this.#bell.ring();
  }

  /** Until the signal. */
  async run(signal: AbortSignal): Promise<void> {
    const { clock, log } = this.#ports.site;
    while (!signal.aborted) {
      const rung = this.#bell.wait(signal);
      try {
        await this.keep();
        await rung;
      } catch (error) {
        if (signal.aborted) return;
        log.error("budgets-not-kept", { error });
        await clock.sleep(retryMs, signal).catch(() => {});
      }
    }
  }

  /** Those that this agent may use. */
  list(): readonly Budget[] {
    const { ledger, outbox } = this.#ports.site;
    return ledger.list("budget", BudgetSchema).filter((budget) => budget.outbox === outbox.id);
  }

  /**
   * Takes a machine out of a budget. Resolves when that is durable.
   * @param user login of whoever asks
   * @param answerTo what is kept of the answer, if anything is
   * @throws Refusal "exhausted" with the reason OUTSIDE_BUDGET when no budget has room for it; else as central does
   */
  create(
    request: MachineServiceCreateRequest,
    user: string,
    answerTo: (local: LocalMachine) => LocalAnswer | undefined,
  ): Promise<LocalMachine> {
    return this.inTurn(async () => {
      const { site, random, changed } = this.#ports;
      checkTrust(site);
      const nowMs = site.clock.wallMs();
      const budget = this.#budgetFor(request);
      const resolved = resolveCreate(createReads(site, this.list()), request, nowMs);
      const machine = this.#machineOf(budget, request);
      const local = allocated(request, resolved, {
        ...{ budget, machine, nowMs, user, asns: this.free(budget).asns },
        addressesIn: (network) => this.freeIn(network, request.project).map(({ ip }) => ip),
        newUuid: () => random.uuid(),
      });
      checkEpoch(site, local);
      const answer = answerTo(local);
      if (answer) local.answer = answer;
      await site.locals.putMachine(local);
      sometimes(site.log, "a partition gave a machine away by itself");
      site.log.info("machine-given", { machine: local.uuid, budget: budget.id, epoch: `${local.epoch}` });
      changed(local.uuid);
      return local;
    });
  }

  /**
   * Takes back a machine that was given away here.
   * @throws Refusal "precondition" for one that central has given away, or adopted: it is central's to take back
   */
  release(uuid: string, project: string): Promise<LocalMachine> {
    return this.inTurn(async () => {
      const { site, changed } = this.#ports;
      checkTrust(site);
      const desired = desiredOf(site, uuid);
      if (desired?.allocation?.project !== project)
        throw new Refusal("not-found", `machine ${uuid} does not exist in project ${project}`, { field: "uuid" });
      const local = site.locals.machine(uuid);
      if (!local?.allocation || local.epoch !== desired.epoch) {
        const text = `machine ${uuid} is central's: the agent takes back only what it gave away and central has not adopted`;
        throw new Refusal("precondition", text, { reason: "NOT_GIVEN_HERE", field: "uuid" });
      }
      if (desired.condition?.state === MachineState.LOCKED) {
        const text = `machine ${uuid} is locked: ${desired.condition.description}`;
        throw new Refusal("precondition", text, { reason: "MACHINE_LOCKED" });
      }
      const next = released(local, project);
      checkEpoch(site, next);
      await site.locals.putMachine(next);
      sometimes(site.log, "a partition took a machine back by itself");
      site.log.info("machine-taken-back", { machine: uuid, epoch: `${next.epoch}` });
      changed(uuid);
      return next;
    });
  }

  /** Those for a project from which something may be taken. */
  of(project: string): readonly Budget[] {
    return this.list().filter((budget) => budget.project === project && !budget.revoked);
  }

  /** What of a budget may be used now. */
  free(budget: Budget): BudgetItems {
    return withoutItems(budget.free ?? noItems(), usedItems(this.#ports.site.locals.all(), budget));
  }

  /** Addresses of a network that a project may have now, and the budgets that have them. */
  freeIn(network: string, project: string): { readonly ip: string; readonly budget: string }[] {
    return this.of(project).flatMap((budget) =>
      addressesIn(network, budget, this.free(budget)).map((ip) => ({ ip, budget: budget.id })),
    );
  }

  /** Whether addresses of a network were delegated for a project; they may be used up. */
  hasAddresses(network: string, project: string): boolean {
    return this.of(project).some((budget) => addressesIn(network, budget, budget.free ?? noItems()).length > 0);
  }

  /** Forgets what central has adopted, and tells it what is used of budgets that have something recalled. */
  async keep(): Promise<void> {
    await this.inTurn(async () => {
      const { locals, ledger } = this.#ports.site;
      const isListed = (id: string, named: (items: BudgetItems, of: Budget) => boolean) => {
        const of = ledger.get("budget", id, BudgetSchema);
        return of !== undefined && [of.free, of.recalled].some((items) => items !== undefined && named(items, of));
      };
      await locals.forget({
        machines: locals.machines().filter((l) => isAdopted(ledger.get("machine", l.uuid, MachineDesiredSchema), l)),
        ips: locals
          .ips()
          .filter(
            ({ budget, ip }) =>
              !isListed(budget, (items, of) => addressesIn(ip?.network ?? "", of, items).includes(ip?.ip ?? "")),
          ),
        networks: locals
          .networks()
          .filter(({ budget, network }) => !isListed(budget, (items) => items.networks.includes(network?.id ?? ""))),
      });
      const all = locals.all();
      // One that was deleted before central knew of it is for central to take back.
      const inUse = { ...all, networks: all.networks.filter(({ deleted }) => !deleted) };
      for (const budget of this.list()) {
        const { id, generation } = budget;
        if (generation === 0n) continue;
        await locals.putUse(create(BudgetUseSchema, { budget: id, generation, used: usedItems(inUse, budget) }));
      }
    });
  }

  /** Tells central once more of all that it has not adopted: in turn, or what is forgotten meanwhile would be kept again. */
  tellAll(): Promise<void> {
    return this.inTurn(() => this.#ports.site.locals.tellAll());
  }

  /** One after the other: who decides knows of all that was decided before. */
  inTurn<T>(work: () => Promise<T>): Promise<T> {
    return this.#turns.run(work);
  }

  #budgetFor(request: MachineServiceCreateRequest): Budget {
    const { project, partition, size, uuid, networks } = request;
    if (roleOf(request) !== MachineAllocationType.MACHINE)
      throw outside("a firewall", "only machines are", "allocation_type");
    const of = this.of(project);
    if (uuid !== undefined) throw outside("a certain machine", "ask for a partition and a size", "uuid");
    if (partition !== undefined && partition !== this.#ports.site.partition)
      throw outside(`a machine in partition ${partition}`, "this agent serves another one", "partition");
    const named = of.filter((budget) => budget.size === size);
    if (named.length === 0) throw outside(`a machine of size ${size}`, budgetsText(of), "size");
    const found = named.find((b) =>
      networks.every(({ network }) => network === b.network || this.hasAddresses(network, project)),
    );
    if (!found) throw outside(`networks ${networks.map((n) => n.network).join(", ")}`, budgetsText(named), "networks");
    if (networks.some(({ ips }) => ips.length > 0))
      throw outside("certain addresses", "leave them out: free ones are taken", "networks.ips");
    return found;
  }

  #machineOf(budget: Budget, { project, placementLabels }: MachineServiceCreateRequest): MachineView {
    const { site } = this.#ports;
    const { partition, size } = budget;
    const left = this.free(budget).machines;
    const view = (uuid: string): MachineView[] => {
      const desired = desiredOf(site, uuid);
      return desired ? [{ desired, observed: site.observations.get(uuid) }] : [];
    };
    const wanted = { partition, size, project, role: MachineAllocationType.MACHINE };
    const labels = placementLabels?.labels ?? {};
    const neighbors = site.observations.list().flatMap(({ uuid }) => view(uuid));
    const placement = placeMachine(left.flatMap(view), { ...wanted, placementLabels: labels }, () => 0, neighbors);
    const [best] = placement.kind === "candidates" ? placement.machines : [];
    if (best) return best;
    const why = placement.kind === "none" && left.length > 0 ? unfitText(placement.reasons) : "none is left";
    throw outside(`a machine of size ${size}`, `budget ${budget.id} has ${left.length} machines: ${why}`, "size");
  }
}

/** @throws Refusal "precondition" while what is remembered here may be old */
export function checkTrust({ safeMode }: Site): void {
  if (safeMode.why === undefined) return;
  throw new Refusal("precondition", `nothing is given away here: the agent waits for ${safeMode.why}`, {
    reason: "SAFE_MODE",
  });
}

export const outside = (what: string, why: string, field: string): Refusal =>
  new Refusal("exhausted", `${what} is not within what central has delegated to this partition: ${why}`, {
    reason: "OUTSIDE_BUDGET",
    field,
  });

const budgetsText = (budgets: readonly Budget[]): string =>
  budgets
    .map(({ size, network, networksWanted }) => {
      const homes = [...(network === "" ? [] : [`network ${network}`]), ...(networksWanted > 0 ? [madeText] : [])];
      return `there is a budget for size ${size} and ${homes.join(" or ")}`;
    })
    .join(", ") || "there is no budget for the project";

const madeText = "networks that were just made here";

interface Taking {
  readonly budget: Budget;
  readonly machine: MachineView;
  /** Those that are left. */
  readonly asns: readonly number[];
  /** Those that are left of a network. */
  readonly addressesIn: (network: string) => readonly string[];
  readonly user: string;
  readonly nowMs: number;
  readonly newUuid: () => string;
}

function allocated(request: MachineServiceCreateRequest, resolved: Resolved, taking: Taking): LocalMachine {
  const { budget, machine, user, nowMs, newUuid } = taking;
  const { desired, observed } = machine;
  const { uuid } = desired;
  const [asn] = taking.asns;
  if (asn === undefined) throw outside("another ASN", `all of budget ${budget.id} are used`, "networks");
  const { project } = request;
  const ips: IP[] = [];
  const networks = resolved.networks.map(({ network }) => {
    const taken = takeOfEach(network, taking.addressesIn(network.id)).map((ip) => {
      const row = ephemeralIp(network, { uuid: newUuid(), ip, project, labels: { [machineLabel]: uuid }, nowMs });
      ips.push(row);
      return ip;
    });
    return machineNetwork(network, taken, asn);
  });
  const allocation = newAllocation(request, { ...resolved, uuid: newUuid(), networks, asn, observed, user, nowMs });
  return create(LocalMachineSchema, {
    uuid,
    budget: budget.id,
    epoch: nextEpoch(desired, observed),
    allocation,
    ips,
  });
}

/** One address of each family that the network has. */
function takeOfEach(network: Network, left: readonly string[]): string[] {
  return [...new Set(network.prefixes.map(textFamily))].sort().map((family) => {
    const ip = left.find((one) => textFamily(one) === family);
    if (ip !== undefined) return ip;
    throw outside(`another IPv${family} address`, `all of network ${network.id} are used`, "networks");
  });
}

/** @throws Refusal "exhausted" for an epoch that central may use itself */
function checkEpoch({ ledger }: Site, { uuid, epoch }: LocalMachine): void {
  const last = ledger.get("machine", uuid, MachineDesiredSchema)?.delegated?.epochLast ?? 0n;
  if (epoch <= last) return;
  throw outside(`epoch ${epoch} of machine ${uuid}`, `epochs up to ${last} are`, "uuid");
}

function released({ uuid, budget, epoch, allocation, ips, answer }: LocalMachine, project: string): LocalMachine {
  const after = epoch + 1n;
  const release = create(ReleaseSchema, {
    epoch: after,
    project,
    ips: ips.map(({ namespace, ip }) => ipId(namespace, ip)),
    allocation: allocation?.uuid ?? "",
    asns: [...new Set(allocation?.networks.map(({ asn }) => asn))],
  });
  return create(LocalMachineSchema, { uuid, budget, epoch: after, release, ips, ...(answer && { answer }) });
}
