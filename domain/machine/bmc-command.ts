import { MachineBMCCommand as Command } from "#gen/metalstack/api/v2/machine_pb.ts";

const names: Readonly<Partial<Record<Command, string>>> = {
  [Command.ON]: "on",
  [Command.OFF]: "off",
  [Command.RESET]: "reset",
  [Command.CYCLE]: "cycle",
  [Command.BOOT_TO_BIOS]: "boot-to-bios",
  [Command.BOOT_FROM_DISK]: "boot-from-disk",
  [Command.BOOT_FROM_PXE]: "boot-from-pxe",
  [Command.IDENTIFY_LED_ON]: "identify-led-on",
  [Command.IDENTIFY_LED_OFF]: "identify-led-off",
  [Command.MACHINE_DELETED]: "machine-deleted",
  [Command.MACHINE_CREATED]: "machine-created",
};

/** The command's name in the contract: "boot-from-pxe". */
export const bmcCommandName = (command: Command): string => names[command] ?? `command ${command}`;
