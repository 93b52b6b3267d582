import { MachineBMCCommand as Command } from "#gen/metalstack/api/v2/machine_pb.ts";

const names: Readonly<Partial<Record<Command, string>>> = {
  [Command.MACHINE_BMC_COMMAND_ON]: "on",
  [Command.MACHINE_BMC_COMMAND_OFF]: "off",
  [Command.MACHINE_BMC_COMMAND_RESET]: "reset",
  [Command.MACHINE_BMC_COMMAND_CYCLE]: "cycle",
  [Command.MACHINE_BMC_COMMAND_BOOT_TO_BIOS]: "boot-to-bios",
  [Command.MACHINE_BMC_COMMAND_BOOT_FROM_DISK]: "boot-from-disk",
  [Command.MACHINE_BMC_COMMAND_BOOT_FROM_PXE]: "boot-from-pxe",
  [Command.MACHINE_BMC_COMMAND_IDENTIFY_LED_ON]: "identify-led-on",
  [Command.MACHINE_BMC_COMMAND_IDENTIFY_LED_OFF]: "identify-led-off",
  [Command.MACHINE_BMC_COMMAND_MACHINE_DELETED]: "machine-deleted",
  [Command.MACHINE_BMC_COMMAND_MACHINE_CREATED]: "machine-created",
};

/** The command's name in the contract: "boot-from-pxe". */
export const bmcCommandName = (command: Command): string => names[command] ?? `command ${command}`;
