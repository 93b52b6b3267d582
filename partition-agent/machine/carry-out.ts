import { MachineBMCCommand as Command } from "#gen/metalstack/api/v2/machine_pb.ts";
import { Refusal } from "#lib/refusal.ts";
import type { Bmc } from "../bmc/bmc.ts";
import { BmcUnreachable } from "../bmc/errors.ts";

/**
 * Carries out what an order says.
 * @param efi the machine's firmware is UEFI: some BMCs set the boot device for one kind of firmware only
 * @returns why nobody knows whether it was done, for what must not be done again then
 * @throws what the BMC's failure was; the order then stays and is tried again until its deadline
 */
export async function carryOut(
  target: { readonly bmc: Bmc; readonly efi: boolean },
  command: Command,
  signal: AbortSignal,
): Promise<string | undefined> {
  try {
    await tell(target, command, signal);
    return undefined;
  } catch (error) {
    if (!(error instanceof BmcUnreachable && error.maybeDone)) throw error;
    return error.message;
  }
}

async function tell(
  { bmc, efi }: { readonly bmc: Bmc; readonly efi: boolean },
  command: Command,
  signal: AbortSignal,
): Promise<void> {
  switch (command) {
    case Command.MACHINE_BMC_COMMAND_ON:
      return bmc.power("on", signal);
    case Command.MACHINE_BMC_COMMAND_OFF:
      return bmc.power("off", signal);
    case Command.MACHINE_BMC_COMMAND_RESET:
      return bmc.power("reset", signal);
    case Command.MACHINE_BMC_COMMAND_CYCLE:
      return bmc.power((await bmc.powerState(signal)) === "on" ? "cycle" : "on", signal);
    case Command.MACHINE_BMC_COMMAND_BOOT_TO_BIOS:
      return bmc.setBootDevice({ device: "bios", persistent: false, efi }, signal);
    case Command.MACHINE_BMC_COMMAND_BOOT_FROM_DISK:
      return bmc.setBootDevice({ device: "disk", persistent: true, efi }, signal);
    case Command.MACHINE_BMC_COMMAND_BOOT_FROM_PXE:
      return bmc.setBootDevice({ device: "pxe", persistent: false, efi }, signal);
    case Command.MACHINE_BMC_COMMAND_IDENTIFY_LED_ON:
      return bmc.identify("on", signal);
    case Command.MACHINE_BMC_COMMAND_IDENTIFY_LED_OFF:
      return bmc.identify("off", signal);
    default:
      throw new Refusal("invalid", `BMC command ${command} is none that a BMC can carry out`);
  }
}
