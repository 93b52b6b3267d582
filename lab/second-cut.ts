import { cp, readFile, rm } from "node:fs/promises";
import { durationFromMs } from "@bufbuild/protobuf/wkt";
import { ConnectError } from "@connectrpc/connect";
import { ErrorInfoSchema } from "#gen/google/rpc/error_details_pb.ts";
import { ProjectRole } from "#gen/metalstack/api/v2/common_pb.ts";
import { MachineProvisioningEventType as Event } from "#gen/metalstack/api/v2/machine_pb.ts";
import type { Network } from "#gen/metalstack/api/v2/network_pb.ts";
import { hourMs } from "#lib/durations.ts";
import { type Api, openApi } from "./api.ts";
import type { Checks } from "./checks.ts";
import { agentFolder, siteApiUrl, siteCertificateFile } from "./daemons.ts";
import type { Holdfast } from "./holdfast.ts";
import type { Lab } from "./lab.ts";
import type { OnSite } from "./on-site.ts";
import type { MachinePlan } from "./plan.ts";
import {
  bootDeadlineMs,
  type Created,
  eventTimeMs,
  installDeadlineMs,
  reportDeadlineMs,
  type Tenant,
} from "./tenant.ts";
import { comesTrue } from "./waiting.ts";
import { hasPhonedHome } from "./watch.ts";

/** Central looks at budgets and at who may use them that often, and the agent has to hear of it. */
const budgetDeadlineMs = 60_000;
const lookEveryMs = 2_000;

interface Parts {
  readonly lab: Lab;
  readonly holdfast: Holdfast;
  readonly checks: Checks;
  readonly tenant: Tenant;
  readonly site: OnSite;
}

/**
 * During one more cut the partition makes a network and gives a machine in it away by itself, and installs another anew; then its agent
 * is put up again from a backup. Two machines have to wait.
 */
export class SecondCut {
  readonly #parts: Parts;

  constructor(parts: Parts) {
    this.#parts = parts;
  }

  /** @param alpha in use */
  async all(alpha: Created | undefined): Promise<void> {
    const { checks, tenant, lab } = this.#parts;
    const partition = await checks.stage(
      "one of the machines that wait, and a network, are delegated to the partition",
      () => this.#delegated(),
    );
    const orderedMs = await checks.stage(
      "alpha's reinstallation is ordered, and the agent has begun with it",
      async () => {
        await tenant.storeData(alpha!);
        const ordered = await tenant.orderReinstall(alpha!);
        await tenant.reinstalling(alpha!, ordered);
        return ordered;
      },
    );
    await checks.stage("the link is cut once more", () => lab.core!.cut());
    const { gamma, network } = await this.#cutOff({ alpha, orderedMs: orderedMs ?? 0, partition });
    const healedMs = await checks.stage("the link is healed once more", async () => {
      await lab.core!.heal();
      return Date.now();
    });
    await checks.stage("rejoined: gamma is central's as any other, and phoned home while cut off", async () => {
      const seen = await tenant.phonedHome(gamma!, reportDeadlineMs);
      if (eventTimeMs(seen, Event.PHONED_HOME) >= healedMs!) throw new Error("the event is of after the cut");
      await tenant.installedOnce(gamma!);
    });
    await checks.stage("rejoined: the network that gamma is in is central's as any other", () =>
      this.#adopted(network!, gamma!),
    );
    await checks.stage("rejoined: central hears that alpha has another system", async () => {
      await tenant.reinstalled(alpha!, orderedMs!, reportDeadlineMs);
    });
    await checks.stage("the budget is revoked, and gone when the agent has said that it uses none of it", () =>
      this.#revoked(),
    );
    await this.#fromBackup(gamma);
  }

  /** All of it at once; told in order. */
  async #cutOff(of: {
    readonly alpha: Created | undefined;
    readonly orderedMs: number;
    readonly partition: Api | undefined;
  }): Promise<{ readonly gamma?: Created; readonly network?: Network }> {
    const { alpha, orderedMs, partition } = of;
    const { checks, tenant, lab, holdfast, site } = this.#parts;
    const network = await checks.stage("cut off: a network is made at the partition, within the budget", () =>
      this.#made(partition!),
    );
    const gamma = await checks.stage("cut off: gamma is created in it, within the budget", () =>
      tenant.create("gamma", partition!, network!.id),
    );
    await checks.stage("cut off: another machine and another network are refused, as no budget has room for them", () =>
      this.#beyond(partition!, network!.id),
    );
    if (!network || !gamma || !alpha) return {};
    const idle = lab.plan.machines.find((m) => ![alpha.plan, gamma.plan].includes(m))!;
    const under = {
      gamma: lab.timeline.until(gamma.plan.name, "os up", gamma.createdMs, installDeadlineMs).then(async () => {
        await tenant.login(gamma);
        await tenant.hasUserdata(gamma, "gamma");
      }),
      console: lab.timeline
        .until(gamma.plan.name, "os up", gamma.createdMs, installDeadlineMs)
        .then(() => site.console(gamma.plan, new RegExp(`${gamma.hostname} login: `), bootDeadlineMs)),
      alpha: lab.timeline
        .until(alpha.plan.name, "os up", orderedMs, bootDeadlineMs + installDeadlineMs)
        .then(() => tenant.keptData(alpha)),
      lease: this.#renewed(idle),
    };
    for (const claim of Object.values(under)) claim.catch(() => undefined);
    await checks.stage(
      "cut off: gamma is installed, and lets its tenant in, who finds the userdata",
      () => under.gamma,
    );
    await checks.stage("cut off: people on site see gamma's console, and type there", () => under.console);
    await checks.stage("cut off: alpha has another system, and its data disk holds what it held", () => under.alpha);
    await checks.stage("cut off: a server that waits renews its lease", () => under.lease);
    await checks.stage("central knows nothing of gamma", async () => {
      if (hasPhonedHome(holdfast.watch.get(gamma.plan.uuid)!)) throw new Error("central has heard of gamma");
    });
    return { gamma, network };
  }

  /** @returns the partition's API, as a member of the project sees it */
  async #delegated(): Promise<Api> {
    const { lab, holdfast } = this.#parts;
    const { project, partition, size, superNetwork } = holdfast.seeded;
    const { secret } = await holdfast.api.adminTokens.create({
      tokenCreateRequest: {
        description: "for what the partition gives away",
        expires: durationFromMs(hourMs),
        projectRoles: { [project]: ProjectRole.EDITOR },
      },
    });
    const { budget } = await holdfast.api.budgets.grant({
      partition,
      project,
      size,
      machines: 1,
      networks: 1,
      parentNetwork: superNetwork,
      addresses: 1,
    });
    if (budget?.problem) throw new Error(`the budget: ${budget.problem}`);
    const api = openApi(siteApiUrl(lab.plan), {
      token: secret,
      ca: await readFile(siteCertificateFile(lab.plan), "utf8"),
    });
    await this.#comesTrue("the agent lets members of the project in", budgetDeadlineMs, async () => {
      await api.machines.list({ project });
    });
    return api;
  }

  async #made({ networks }: Api): Promise<Network> {
    const { project, partition } = this.#parts.holdfast.seeded;
    const { network } = await networks.create({ project, partition, name: "made-on-site" });
    if (!network) throw new Error("the partition made a network and did not return it");
    return network;
  }

  async #beyond(partition: Api, network: string): Promise<void> {
    await refused(this.#parts.tenant.create("delta", partition, network), "OUTSIDE_BUDGET");
    await refused(this.#made(partition), "OUTSIDE_BUDGET");
  }

  async #adopted(made: Network, gamma: Created): Promise<void> {
    const { api, seeded } = this.#parts.holdfast;
    await this.#comesTrue(`central has network ${made.id} as it was made`, reportDeadlineMs, async () => {
      const { network } = await api.networks.get({ id: made.id, project: seeded.project });
      const text = ({ name, vrf, prefixes }: Network) => `${name}, VRF ${vrf}, ${prefixes}`;
      if (!network || text(network) !== text(made)) throw new Error(`central has ${network && text(network)}`);
    });
    const { machine } = await api.machines.get({ uuid: gamma.plan.uuid, project: seeded.project });
    const joined = machine?.allocation?.networks.map(({ network }) => network);
    if (`${joined}` !== made.id) throw new Error(`${gamma.plan.name} is in ${joined}, and not in ${made.id} alone`);
  }

  async #renewed(machine: MachinePlan): Promise<void> {
    const { site } = this.#parts;
    const beforeMs = await site.leaseEndMs(machine);
    await this.#comesTrue(`${machine.name} renews its lease`, bootDeadlineMs, async () => {
      const endMs = await site.leaseEndMs(machine);
      if (endMs <= beforeMs) throw new Error(`it ends at ${new Date(endMs).toISOString()}`);
    });
  }

  async #revoked(): Promise<void> {
    const { budgets } = this.#parts.holdfast.api;
    for (const { budget } of (await budgets.list({})).budgets) await budgets.revoke({ id: budget!.id });
    await this.#comesTrue("no budget is left", budgetDeadlineMs, async () => {
      const [left] = (await budgets.list({})).budgets;
      if (left) throw new Error(left.problem);
    });
  }

  async #fromBackup(gamma: Created | undefined): Promise<void> {
    const { checks, lab, holdfast, site, tenant } = this.#parts;
    const [data, backup] = [`${agentFolder(lab.plan)}/data/state`, `${lab.plan.folder}/agent-backup`];
    await checks.stage("the agent's disk is copied while it is down", async () => {
      await holdfast.agent.stop();
      await rm(backup, { recursive: true, force: true });
      await cp(data, backup, { recursive: true });
      await holdfast.agent.start();
    });
    await checks.stage(
      "cut off: the agent is put up again from its backup, serves, and does nothing that cannot be taken back",
      async () => {
        await lab.core!.cut();
        await holdfast.agent.kill();
        await rm(data, { recursive: true });
        await cp(backup, data, { recursive: true });
        await holdfast.agent.start();
        const waitsFor = await site.waitsFor();
        if (!waitsFor.includes("disk is a copy")) throw new Error(`the agent waits for "${waitsFor}"`);
        await tenant.login(gamma!);
      },
    );
    await checks.stage("rejoined: it waits for nothing any more, and gamma is as it was", async () => {
      await lab.core!.heal();
      await this.#comesTrue("the agent waits for nothing", reportDeadlineMs, async () => {
        const waitsFor = await site.waitsFor();
        if (waitsFor !== "") throw new Error(waitsFor);
      });
      await tenant.login(gamma!);
      await tenant.installedOnce(gamma!);
    });
  }

  /** Asks until it does not throw. */
  async #comesTrue(what: string, deadlineMs: number, look: () => Promise<void>): Promise<void> {
    await comesTrue(what, deadlineMs, look, { everyMs: lookEveryMs, signal: this.#parts.lab.signal });
  }
}

/** @param reason by which the refusal is told from others */
async function refused(call: Promise<unknown>, reason: string): Promise<void> {
  const error = await call.then(
    () => undefined,
    (e: unknown) => ConnectError.from(e),
  );
  if (!error) throw new Error("it was not refused");
  const [info] = error.findDetails(ErrorInfoSchema);
  if (info?.reason !== reason) throw new Error(`it was refused otherwise: ${error.message}`);
}
