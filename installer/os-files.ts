import type { PlanResponse } from "#gen/holdfast/install/v1/install_pb.ts";
import type { MachineAllocation } from "#gen/metalstack/api/v2/machine_pb.ts";
import { hex } from "#lib/bytes.ts";
import type { Random } from "#lib/random.ts";
import { fail, ok, type Result } from "#lib/result.ts";
import { firewallFiles, isFirewall } from "./firewall-files.ts";
import { authorizedKeys, type KeyUser, keyUpdate } from "./key-files.ts";
import { networkFiles, resolvConf } from "./network-files.ts";

/** A file of the installed system; `owner` is a user's name there, root when absent. */
export interface OsFile {
  readonly path: string;
  readonly content: string | Uint8Array;
  readonly mode: number;
  readonly owner?: string;
}

export interface OsFileInputs {
  readonly machine: string;
  readonly allocation: MachineAllocation;
  readonly plan: PlanResponse;
  readonly fstab: string;
  /** Names in the image's /etc/passwd. */
  readonly users: ReadonlySet<string>;
}

/** All that makes the image this machine. */
export function osFiles(inputs: OsFileInputs, random: Random): Result<readonly OsFile[]> {
  const { machine, allocation, plan, fstab } = inputs;
  const hostname = allocation.hostname || `machine-${machine.slice(0, 8)}`;
  if (!/^[a-zA-Z0-9]([a-zA-Z0-9.-]{0,62}[a-zA-Z0-9])?$/.test(hostname))
    return fail(`hostname ${hostname}: letters, digits, dots and dashes are wanted`);
  const network = networkFiles(plan.interfaces);
  if (!network.ok) return network;
  const firewall = isFirewall(allocation) ? firewallFiles(allocation) : ok([]);
  if (!firewall.ok) return firewall;
  const userdata = decodeUserdata(allocation.userdata);
  if (!userdata.ok) return fail(`userdata: ${userdata.error}`);
  const facts = {
    machine,
    hostname,
    project: allocation.project,
    allocation: allocation.uuid,
    image: allocation.image?.id ?? "",
    epoch: String(plan.epoch),
  };
  return ok([
    { path: "/etc/hostname", content: `${hostname}\n`, mode: 0o644 },
    { path: "/etc/hosts", content: hosts(hostname), mode: 0o644 },
    { path: "/etc/fstab", content: fstab, mode: 0o644 },
    { path: "/etc/resolv.conf", content: resolvConf(plan.dnsServers), mode: 0o644 },
    // Without one the system takes this for its first boot ever and sets all units to their presets: seconds.
    { path: "/etc/machine-id", content: `${hex(random.bytes(16))}\n`, mode: 0o444 },
    { path: "/etc/holdfast/machine.json", content: `${JSON.stringify(facts, null, 2)}\n`, mode: 0o644 },
    // Carries a credential.
    { path: "/etc/holdfast/phone-home-url", content: `${plan.phoneHomeUrl}\n`, mode: 0o600 },
    ...network.value,
    ...firewall.value,
    ...timeServers(plan.ntpServers),
    ...authorizedKeys(allocation.sshPublicKeys, keyUsers(inputs.users)),
    ...keyUpdate(plan.authorizedKeysUrl, keyUsers(inputs.users)).files,
    ...userdataFiles(userdata.value, facts),
  ]);
}

const hosts = (hostname: string): string =>
  `127.0.0.1 localhost\n127.0.1.1 ${hostname}\n::1 localhost ip6-localhost ip6-loopback\n`;

const timeServers = (servers: readonly string[]): OsFile[] =>
  servers.length === 0
    ? []
    : [
        {
          path: "/etc/systemd/timesyncd.conf.d/holdfast.conf",
          content: `[Time]\nNTP=${servers.join(" ")}\n`,
          mode: 0o644,
        },
      ];

/** Who logs in by the keys of the allocation. */
export const keyUsers = (users: ReadonlySet<string>): readonly KeyUser[] => [
  { name: "root", home: "/root" },
  ...(users.has("metal") ? [{ name: "metal", home: "/home/metal" }] : []),
];

/** Empty text: no userdata. Anything else must be base64 to the letter, or the user's mistake would show up as a broken system later. */
export function decodeUserdata(text: string): Result<Uint8Array> {
  const packed = text.replace(/[\r\n]/g, "");
  if (!/^(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$/.test(packed))
    return fail("not base64, which userdata must be");
  return ok(Uint8Array.from(atob(packed), (c) => c.charCodeAt(0)));
}

/** Where a person looks, and where cloud-init's NoCloud source looks. @source cloud-init documentation, "NoCloud" */
function userdataFiles(userdata: Uint8Array, facts: { readonly machine: string; readonly hostname: string }): OsFile[] {
  if (userdata.length === 0) return [];
  const seed = "/var/lib/cloud/seed/nocloud";
  return [
    { path: "/etc/holdfast/userdata", content: userdata, mode: 0o600 },
    { path: `${seed}/user-data`, content: userdata, mode: 0o600 },
    {
      path: `${seed}/meta-data`,
      content: `instance-id: ${facts.machine}\nlocal-hostname: ${facts.hostname}\n`,
      mode: 0o600,
    },
  ];
}
