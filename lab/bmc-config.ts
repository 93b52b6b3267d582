import type { LabPlan, MachinePlan } from "./plan.ts";

// Files of one ipmi_sim (Debian's openipmi, man ipmi_lan): its LAN side, its emulated management controller, and the
// programs that it calls for chassis control and LAN parameters.

export interface BmcFiles {
  readonly lanConf: string;
  readonly emulator: string;
  readonly chassis: string;
  readonly lanParameters: string;
}

/**
 * @param folder where the files will lie
 * @param password of the administrator; ipmi_sim keeps it in the clear
 */
export function bmcFiles(plan: LabPlan, machine: MachinePlan, folder: string, password: string): BmcFiles {
  return {
    lanConf: lanConf(plan, machine, folder, password),
    emulator: emulator(folder),
    chassis: chassisProgram(plan, machine),
    lanParameters: lanParameters(machine),
  };
}

function lanConf(plan: LabPlan, machine: MachinePlan, folder: string, password: string): string {
  const auths = ["callback", "user", "operator", "admin"].map((p) => `    allowed_auths_${p} none md2 md5 straight`);
  return [
    `name "${machine.name}"`,
    "set_working_mc 0x20",
    "  startlan 1",
    `    addr ${machine.bmcAddress} 623`,
    "    priv_limit admin",
    ...auths,
    `    guid ${systemGuid(machine.uuid)}`,
    `    lan_config_program "${folder}/lan-parameters.sh"`,
    "  endlan",
    `  sol "tcp:127.0.0.1:${machine.serialPort}" 115200`,
    `  chassis_control "${folder}/chassis.sh 0x20"`,
    '  user 1 true "" "" user 10 none md2 md5 straight',
    `  user 2 true "${plan.bmcUser}" "${password}" admin 10 none md2 md5 straight`,
    "",
  ].join("\n");
}

/**
 * The machine's UUID as ipmi_sim's `guid`: 32 hex digits in the order of the wire. Sent in SMBIOS order (first three
 * fields little-endian), as most vendors do, so that Get System GUID and SMBIOS type 1 agree octet by octet.
 * @source IPMI 2.0 §20.8, SMBIOS 3.6 §7.2.1
 */
export function systemGuid(uuid: string): string {
  const b = Buffer.from(uuid.replaceAll("-", ""), "hex");
  return Buffer.concat([
    b.subarray(0, 4).reverse(),
    b.subarray(4, 6).reverse(),
    b.subarray(6, 8).reverse(),
    b.subarray(8),
  ]).toString("hex");
}

function emulator(folder: string): string {
  return [
    "mc_setbmc 0x20",
    "mc_add 0x20 0 no-device-sdrs 0x23 9 8 0x9f 0x1291 0xf02 persist_sdr",
    "sel_enable 0x20 1000 0x0a",
    `mc_add_fru_data 0x20 0 2048 file 0 "${folder}/fru.bin"`,
    "mc_enable 0x20",
    "",
  ].join("\n");
}

/**
 * ipmi_sim calls this with `0x20 get PARAMETER…` or `0x20 set PARAMETER VALUE…`, waits for it, and calls it again when
 * the caller retransmits after 1 s: so it only asks the lab, which owns the machine and answers at once.
 */
function chassisProgram(plan: LabPlan, machine: MachinePlan): string {
  return [
    "#!/bin/bash",
    `exec 3<>/dev/tcp/127.0.0.1/${plan.chassisPort} || exit 1`,
    `echo "${machine.name} $*" >&3`,
    "while IFS= read -r -t 0.9 line <&3; do",
    '  case $line in done) exit 0;; error*) echo "$line" >&2; exit 1;; *) echo "$line";; esac',
    "done",
    "exit 1",
    "",
  ].join("\n");
}

function lanParameters(machine: MachinePlan): string {
  const bmcMac = machine.mac.replace(/^52:54:00:77/, "52:54:00:bb");
  return [
    "#!/bin/sh",
    '[ "$1" = get ] || exit 0',
    "shift",
    'for p in "$@"; do case $p in',
    `  ip_addr) echo "ip_addr:${machine.bmcAddress}";;`,
    '  ip_addr_src) echo "ip_addr_src:static";;',
    `  mac_addr) echo "mac_addr:${bmcMac}";;`,
    '  subnet_mask) echo "subnet_mask:255.255.255.0";;',
    '  *) echo "$p:0.0.0.0";;',
    "esac; done",
    "",
  ].join("\n");
}
