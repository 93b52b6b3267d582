import type { LabPlan } from "./plan.ts";
import { type Running, run, start } from "./process.ts";

// Central's datacenter apart from the partition's: a network namespace of its own behind one cable. The line between
// central and agent can then be cut as a line is cut: packets vanish, and nobody is told.

/** `ip -batch` lines of the partition's end of the cable. @param holder process whose network namespace is the core's */
export const siteCommands = ({ core, wan }: LabPlan, holder: number): readonly string[] => [
  `link add wan type veth peer name core netns ${holder}`,
  `addr add ${wan.site}/${wan.prefix.length} dev wan`,
  "link set wan up",
  `route add ${core}/32 via ${wan.core}`,
];

/** And of the core's end; central answers at two addresses, of which only the first is cut. */
export const coreCommands = ({ core, wan }: LabPlan): readonly string[] => [
  "link set lo up",
  `addr add ${wan.core}/${wan.prefix.length} dev core`,
  `addr add ${core}/32 dev lo`,
  "link set core up",
];

/** For nft: what the partition's side does with packets from and to central's own address. */
export const cutRules = ({ core }: LabPlan): string =>
  `table inet cut {
  chain in { type filter hook input priority 0; ip saddr ${core} drop; }
  chain out { type filter hook output priority 0; ip daddr ${core} drop; }
}
`;

export class Core {
  readonly #plan: LabPlan;
  readonly #holder: Running;
  #isCut = false;

  private constructor(plan: LabPlan, holder: Running) {
    this.#plan = plan;
    this.#holder = holder;
  }

  /** Must run inside the lab's namespace. */
  static async open(plan: LabPlan): Promise<Core> {
    const log = `${plan.folder}/core.log`;
    const holder = start(["unshare", "--net", "sh", "-c", "echo apart; exec sleep infinity"], {
      name: "core",
      log,
      onLine: () => apart(),
    });
    let apart = (): void => {};
    await new Promise<void>((resolve, reject) => {
      apart = resolve;
      holder.exited.then(() => reject(new Error(`the core's namespace ended; see ${log}`)), reject);
    });
    const core = new Core(plan, holder);
    await run(["ip", "-batch", "-"], { input: `${siteCommands(plan, holder.pid).join("\n")}\n` });
    await run([...core.inside, "ip", "-batch", "-"], { input: `${coreCommands(plan).join("\n")}\n` });
    return core;
  }

  /** Put before a command, it runs in the core. */
  get inside(): readonly string[] {
    return ["nsenter", `--net=/proc/${this.#holder.pid}/ns/net`, "--"];
  }

  get isCut(): boolean {
    return this.#isCut;
  }

  /** From now on the agent and central hear nothing of each other. */
  async cut(): Promise<void> {
    await run(["nft", "-f", "-"], { input: cutRules(this.#plan) });
    this.#isCut = true;
  }

  async heal(): Promise<void> {
    if (this.#isCut) await run(["nft", "delete", "table", "inet", "cut"]);
    this.#isCut = false;
  }

  async close(): Promise<void> {
    await this.#holder.stop("SIGKILL");
  }
}
