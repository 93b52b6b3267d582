// The shipped parts of an agent over one standing: its reconciler, its boot script, and its services for installers and systems.
import { create } from "@bufbuild/protobuf";
import type { HandlerContext } from "@connectrpc/connect";
import type { Bmc } from "#agent/bmc/bmc.ts";
import { BootFiles } from "#agent/boot/boot-files.ts";
import { bootService } from "#agent/boot/boot-service.ts";
import { BootTokens, type TokenSigner } from "#agent/boot/boot-token.ts";
import { eventService } from "#agent/boot/event-service.ts";
import { installService } from "#agent/boot/install-service.ts";
import { phoneHome } from "#agent/boot/phone-home.ts";
import { bootScript } from "#agent/boot/script.ts";
import type { Site } from "#agent/boot/site.ts";
import { exactly } from "#agent/link/central-time.ts";
import { MachineReconciler, type PortControl } from "#agent/machine/reconciler.ts";
import { FakeCache, macA, random } from "#agent/testing/site.ts";
import { provisioning } from "#domain/machine/port-network.ts";
import type { MachineObserved } from "#gen/holdfast/state/v1/machine_pb.ts";
import { MachineHardwareSchema } from "#gen/metalstack/api/v2/machine_pb.ts";
import { Bell } from "#lib/bell.ts";
import { silentLog } from "#lib/log.ts";
import { MemoryDisk } from "#lib/memory-disk.ts";
import { copyOf } from "#lib/message.ts";
import { VirtualClock } from "#lib/virtual-clock.ts";
import { imageUrl, longMs, nowMs, type Standing, tenantNetwork, uuid } from "./standing.ts";

/** Whether BMC and switch answer, and what becomes of what the agent does. */
export interface Answers {
  readonly bmc: boolean;
  readonly switch: boolean;
  /** The agent dies before it has told the BMC or the switch anything, or when all is done and nothing of that is written down. */
  readonly effect: "done" | "fails" | "agent dies before" | "agent dies after";
}

export const allAnswer: Answers = { bmc: true, switch: true, effect: "done" };

class Died extends Error {}
class LookedOnce extends Error {}

const clock = new VirtualClock(nowMs);
const never = new AbortController().signal;
const url = "http://10.0.0.1:8080";
const files = new BootFiles(new FakeCache(), url, clock, silentLog, never);
files.useBoot({ kernel: "http://boot/kernel", initrd: "http://boot/initrd" });
files.prefetch(imageUrl);
const hardware = create(MachineHardwareSchema, { nics: [{ mac: macA, name: "eth0", identifier: macA }] });

/** Signs nothing: there is nobody here who would forge. */
const signer: TokenSigner = {
  sign: async (claims) => Buffer.from(JSON.stringify(claims)).toString("base64url"),
  verify: async (token) => JSON.parse(Buffer.from(token, "base64url").toString()) as Record<string, unknown>,
  read: () => undefined,
  digest: async () => new Uint8Array(),
};
const tokens = await BootTokens.open(new MemoryDisk(), random, () => signer);

/** @param s changed in place */
export class Agent {
  readonly #s: Standing;
  readonly #site: Site;
  #hasActed = false;
  #diesAfter = false;
  readonly #bell = new Bell();

  constructor(s: Standing) {
    this.#s = s;
    const observations = {
      get: () => s.observed,
      list: () => [s.observed],
      byMac: (_: string, except?: string) => (except === undefined ? s.observed : undefined),
      update: async (_: string, change: (m: MachineObserved) => void) => {
        if (this.#hasActed && this.#diesAfter) throw new Died();
        const next = copyOf(s.observed);
        change(next);
        s.observed = next;
        return next;
      },
    };
    const ledger = { get: (kind: string) => (kind === "machine" ? s.told : undefined), list: () => [] };
    this.#site = {
      ...{ partition: "p1", url, ledger, observations, tokens, clock, log: silentLog, bell: this.#bell },
      ...{ outbox: { id: "outbox", put: async () => {} }, locals: { machine: () => undefined } },
      safeMode: { why: undefined },
    } as unknown as Site; // all of it that is asked for here
  }

  /** Looks once: one decision of `planMachine`, and what follows from it. */
  async look(answers: Answers): Promise<void> {
    const stop = new AbortController();
    this.#diesAfter = answers.effect === "agent dies after";
    let looks = 0;
    const world = this.#world(answers, stop);
    const reconciler = new MachineReconciler({
      site: this.#site,
      files,
      bmcOf: () => world.bmc,
      ports: {
        ...world.ports,
        locate: (m, signal) => {
          if (++looks > 1) throw new LookedOnce();
          return world.ports.locate(m, signal);
        },
      },
      localOrders: () => [],
      centralTime: () => exactly(nowMs),
      newMachines: "power on",
      listeningSinceMs: nowMs - longMs,
      ...{ clock, random, log: silentLog },
    });
    try {
      await reconciler.reconcile(uuid, stop.signal);
    } catch (error) {
      if (!(error instanceof Died || error instanceof LookedOnce || error instanceof NoAnswer)) throw error;
    }
  }

  #world(answers: Answers, stop: AbortController): { readonly bmc: Bmc; readonly ports: PortControl } {
    const { server } = this.#s;
    const told = (does: () => void, isLast = true) => {
      if (answers.effect === "fails") throw new NoAnswer();
      if (answers.effect === "agent dies before") {
        stop.abort();
        throw new Died();
      }
      does();
      this.#hasActed = isLast;
    };
    const ask = () => {
      if (!answers.bmc) throw new NoAnswer();
    };
    const bmc: Bmc = {
      describe: () => Promise.reject(new Error("not asked here")),
      bootDevice: () => Promise.reject(new Error("not asked here")),
      identify: () => Promise.reject(new Error("not asked here")),
      async powerState() {
        ask();
        return server.isOn ? "on" : "off";
      },
      async power(action) {
        told(() => {
          if (action === "on" && server.isOn) return;
          server.isOn = action !== "off";
          server.runs = server.isOn ? "firmware" : "nothing";
        });
      },
      async setBootDevice({ device, persistent }) {
        told(() => {
          if (persistent) server.bootsDisk = device === "disk";
          server.bootsNetworkOnce = device === "pxe" && !persistent;
        }, persistent);
      },
    };
    const ports: PortControl = {
      async locate() {
        if (!answers.switch) return { kind: "unknown", why: "the switch does not answer" };
        const network = server.port === 0n ? provisioning : tenantNetwork(server.port);
        return { kind: "at", switch: "leaf1", port: "swp1", network };
      },
      async move(_, network) {
        told(() => {
          server.port = network === provisioning ? 0n : BigInt(network.slice(tenantNetwork(0n).length - 1));
        });
      },
    };
    return { bmc, ports };
  }

  /** What firmware is told that boots from the network. */
  script = () => bootScript(this.#site, files, random, { mac: macA, uuid, firmware: "efi" });

  /** What an installer of the machine's latest boot calls. */
  async installer() {
    const { observed } = this.#s;
    const token = await tokens.forBoot({ mac: macA, uuid, boot: observed.boot });
    const stop = new AbortController();
    const context = {
      requestHeader: new Headers({ authorization: `Bearer ${token}` }),
      signal: stop.signal,
    } as HandlerContext; // all that is asked of it
    const boot = bootService(this.#site, files);
    const install = installService(this.#site, files);
    return { context, stop, hardware, events: eventService(this.#site), boot, install };
  }

  /** What the installed system of that epoch says. */
  async home(epoch: bigint): Promise<void> {
    await phoneHome(this.#site, (await tokens.forHome({ uuid, epoch })).token);
  }
}

class NoAnswer extends Error {}
