import { parseArgs } from "node:util";
import { type Ipv4Prefix, parseIpv4, parseIpv4Prefix } from "#lib/net/ipv4.ts";
import { fail, ok, type Result } from "#lib/result.ts";

export type FirmwareChoice = "bios" | "uefi" | "mixed";

/** What the command line asked for, complete with defaults. */
export interface LabOptions {
  readonly task: "stay" | "demo" | "autonomy" | "baseline";
  readonly faults: boolean;
  readonly rounds: number;
  readonly machines: number;
  readonly firmware: FirmwareChoice;
  readonly memoryMb: number;
  readonly diskGb: number;
  readonly store: "embedded" | "etcd";
  readonly name: string;
  readonly folder: string;
  readonly yes: boolean;
  readonly keep: boolean;
  readonly resume: boolean;
  readonly provisioning: Ipv4Prefix;
  readonly management: Ipv4Prefix;
  /** Address of central and of the image server inside the lab. */
  readonly core: string;
  /** Network between the partition and a core of its own. */
  readonly wan: Ipv4Prefix;
  /** How long the link is cut, in seconds. */
  readonly cutSeconds: number;
  /** Decides who dies when. */
  readonly seed: number;
  readonly agentPort: number;
  readonly centralPort: number;
  readonly imagePort: number;
}

export const usage = `npm run lab -- [flags]      a virtual datacenter on this machine: central, agent, BMCs, servers (root, Debian)

  --demo                 create two machines, log in by ssh, reinstall one, delete them, wait until they are wiped, create one
                         again; exit 0 or 1
  --no-faults            with --demo: leave out the SIGKILL of central and of the agent
  --autonomy             cut the link to central for two minutes while three servers boot, install and are wiped, and kill
                         agent, central and an etcd member meanwhile; then once more, while the partition gives a machine
                         away by itself; exit 0 or 1
  --cut SECONDS          with --autonomy: how long the first time (120)
  --seed N               with --autonomy: who dies when (the process id; it is printed)
  --baseline             measure a hand-made dnsmasq + static script flow beside ours; exit 1 above 1.15 of it
  --rounds N             with --baseline: rounds of each side (3)
  --machines N           servers (2; with --autonomy 3)
  --firmware WHICH       bios, uefi or mixed: odd servers BIOS, even ones UEFI (mixed)
  --memory MB            memory of each server (1024)
  --disk GB              disk of each server (4)
  --etcd                 central stores in a real etcd instead of its embedded store
  --provisioning CIDR    network of the servers and the agent (10.77.0.0/24)
  --management CIDR      network of the BMCs (10.77.1.0/24)
  --core ADDRESS         address of central and of the image server (10.77.2.1)
  --wan CIDR             with --autonomy: network between the partition and central's (10.77.3.0/24)
  --agent-port N         HTTP port of the agent (8080)
  --central-port N       port of central (8081)
  --image-port N         port of the image server (8082)
  --name NAME            name of the network namespace (hf-lab-PID)
  --dir FOLDER           disks, stores and logs of the lab (.holdfast/lab)
  --resume               go on from what the last lab left in its folder
  --keep                 with --demo: stay up afterwards until Ctrl-C
  --yes                  install missing Debian packages without asking
  --help                 this text
`;

const flags = {
  demo: { type: "boolean" },
  "no-faults": { type: "boolean" },
  autonomy: { type: "boolean" },
  cut: { type: "string" },
  seed: { type: "string" },
  baseline: { type: "boolean" },
  rounds: { type: "string" },
  machines: { type: "string" },
  firmware: { type: "string" },
  memory: { type: "string" },
  disk: { type: "string" },
  etcd: { type: "boolean" },
  provisioning: { type: "string" },
  management: { type: "string" },
  core: { type: "string" },
  wan: { type: "string" },
  "agent-port": { type: "string" },
  "central-port": { type: "string" },
  "image-port": { type: "string" },
  name: { type: "string" },
  dir: { type: "string" },
  resume: { type: "boolean" },
  keep: { type: "boolean" },
  yes: { type: "boolean" },
  help: { type: "boolean" },
} as const;

type Values = ReturnType<typeof parseArgs<{ options: typeof flags; strict: true }>>["values"];

/**
 * Reads the command line; every problem is named, not only the first.
 * @param pid of this process, for the default name and seed
 */
export function parseLabOptions(args: readonly string[], pid: number): Result<LabOptions | "help", readonly string[]> {
  let values: Values;
  try {
    values = parseArgs({ args: [...args], options: flags, strict: true, allowPositionals: false }).values;
  } catch (error) {
    return fail([(error as Error).message.split(". ")[0] ?? "unknown flag"]);
  }
  if (values.help) return ok("help");
  const problems: string[] = [];
  const options = read(values, pid, problems);
  return problems.length > 0 ? fail(problems) : ok(options);
}

function read(values: Values, pid: number, problems: string[]): LabOptions {
  const number = (flag: keyof Values & string, fallback: number, min: number, max: number): number => {
    const text = values[flag];
    if (text === undefined) return fallback;
    const value = Number(text);
    if (Number.isInteger(value) && value >= min && value <= max) return value;
    problems.push(`--${flag} ${text}: a whole number from ${min} to ${max} is wanted`);
    return fallback;
  };
  const prefix = (flag: "provisioning" | "management" | "wan", fallback: string): Ipv4Prefix => {
    const parsed = parseIpv4Prefix(values[flag] ?? fallback);
    if (parsed.ok && parsed.value.length >= 16 && parsed.value.length <= 25) return parsed.value;
    problems.push(`--${flag} ${parsed.ok ? `${values[flag]}: a length from /16 to /25 is wanted` : parsed.error}`);
    return (parseIpv4Prefix(fallback) as { value: Ipv4Prefix }).value;
  };
  const tasks = (["demo", "autonomy", "baseline"] as const).filter((task) => values[task]);
  if (tasks.length > 1) problems.push(`${tasks.map((t) => `--${t}`).join(" and ")}: one of them is wanted`);
  if (values["no-faults"] && !values.demo) problems.push("--no-faults goes with --demo");
  for (const flag of ["cut", "seed", "wan"] as const)
    if (values[flag] !== undefined && !values.autonomy) problems.push(`--${flag} goes with --autonomy`);
  const name = values.name ?? `hf-lab-${pid}`;
  if (!/^[a-z][a-z0-9-]{0,30}$/.test(name))
    problems.push(`--name ${name}: up to 31 lower-case letters, digits and hyphens are wanted`);
  const core = values.core ?? "10.77.2.1";
  const coreParsed = parseIpv4(core);
  if (!coreParsed.ok) problems.push(`--core: ${coreParsed.error}`);
  return {
    task: tasks[0] ?? "stay",
    faults: !values["no-faults"],
    rounds: number("rounds", 3, 1, 100),
    machines: number("machines", values.autonomy ? 3 : 2, values.autonomy ? 3 : 1, 50),
    firmware: firmwareChoice(values.firmware, problems),
    memoryMb: number("memory", 1024, 512, 65536),
    diskGb: number("disk", 4, 1, 1024),
    store: values.etcd || values.autonomy ? "etcd" : "embedded",
    name,
    folder: values.dir ?? ".holdfast/lab",
    yes: values.yes ?? false,
    keep: values.keep ?? false,
    resume: values.resume ?? false,
    provisioning: prefix("provisioning", "10.77.0.0/24"),
    management: prefix("management", "10.77.1.0/24"),
    core,
    wan: prefix("wan", "10.77.3.0/24"),
    cutSeconds: number("cut", 120, 30, 3600),
    seed: number("seed", pid, 0, 2 ** 31),
    agentPort: number("agent-port", 8080, 1, 65535),
    centralPort: number("central-port", 8081, 1, 65535),
    imagePort: number("image-port", 8082, 1, 65535),
  };
}

function firmwareChoice(text: string | undefined, problems: string[]): FirmwareChoice {
  if (text === undefined || text === "mixed") return "mixed";
  if (text === "bios" || text === "uefi") return text;
  problems.push(`--firmware ${text}: bios, uefi or mixed is wanted`);
  return "mixed";
}
