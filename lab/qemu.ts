import path from "node:path";
import type { BootDevice } from "./chassis.ts";
import type { MachinePlan } from "./plan.ts";

export const ovmfCode = "/usr/share/OVMF/OVMF_CODE_4M.fd";
export const ovmfVariables = "/usr/share/OVMF/OVMF_VARS_4M.fd";

export const diskOf = (machine: MachinePlan): string => path.join(machine.folder, "disk.img");
/** Beside the system's: its tenant's data is on it. */
export const dataDiskOf = (machine: MachinePlan): string => path.join(machine.folder, "data.img");
export const dataDiskGb = 1;
export const variablesOf = (machine: MachinePlan): string => path.join(machine.folder, "uefi-variables.fd");

/**
 * Whether the processor's own virtualisation can be used. `/dev/kvm` alone proves nothing: it exists where KVM runs
 * only kernels made for it, and Debian's is not.
 * @param cpuinfo text of /proc/cpuinfo
 */
export const hasHardwareVirtualisation = (cpuinfo: string, hasKvm: boolean): boolean =>
  hasKvm && /^flags\s*:.*\b(svm|vmx)\b/m.test(cpuinfo);

/**
 * The command line of one server.
 * @param boot where it starts from: the network first for `pxe`, the disk first otherwise; an empty disk falls through
 */
export function qemuCommand(machine: MachinePlan, boot: BootDevice, hasKvm: boolean): readonly string[] {
  const [networkIndex, diskIndex] = boot === "pxe" ? [1, 2] : [2, 1];
  return [
    "qemu-system-x86_64",
    ...["-name", machine.name],
    ...["-accel", hasKvm ? "kvm" : "tcg,thread=multi"],
    ...(hasKvm ? ["-cpu", "host"] : []),
    // Without graphics SeaBIOS and the iPXE ROM write to the serial line, where the lab reads them.
    ...["-machine", "q35,graphics=off"],
    ...["-m", String(machine.memoryMb), "-smp", "1"],
    ...["-nodefaults", "-display", "none"],
    ...["-uuid", machine.uuid],
    ...["-smbios", `type=1,manufacturer=Holdfast Lab,product=Lab Server,serial=${machine.serial}`],
    ...["-chardev", "stdio,id=serial0,signal=off", "-serial", "chardev:serial0"],
    // A guest's reset ends the process, so that the next start obeys the BMC's boot device as a real server does.
    "-no-reboot",
    ...["-chardev", `socket,id=qmp0,host=127.0.0.1,port=${machine.qmpPort}`, "-mon", "chardev=qmp0,mode=control"],
    ...firmwareArguments(machine),
    ...["-netdev", `tap,id=net0,ifname=${machine.tap},script=no,downscript=no`],
    ...["-device", `virtio-net-pci,netdev=net0,mac=${machine.mac},bootindex=${networkIndex}`],
    ...["-drive", `if=none,id=disk0,file=${diskOf(machine)},format=raw,cache=unsafe,discard=unmap`],
    ...["-device", `virtio-blk-pci,drive=disk0,serial=${machine.serial}-D0,bootindex=${diskIndex}`],
    ...["-drive", `if=none,id=disk1,file=${dataDiskOf(machine)},format=raw,cache=unsafe,discard=unmap`],
    ...["-device", `virtio-blk-pci,drive=disk1,serial=${machine.serial}-D1`],
    ...["-device", "virtio-rng-pci"],
  ];
}

function firmwareArguments(machine: MachinePlan): readonly string[] {
  if (machine.firmware === "bios") return [];
  return [
    ...["-drive", `if=pflash,format=raw,unit=0,readonly=on,file=${ovmfCode}`],
    ...["-drive", `if=pflash,format=raw,unit=1,file=${variablesOf(machine)}`],
    // EDK2 spends a minute on PXE over IPv6 when IPv4 fails once.
    ...["-fw_cfg", "name=opt/org.tianocore/IPv6PXESupport,string=no"],
  ];
}
