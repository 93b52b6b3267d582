import { MachineService as AdminMachineService } from "#gen/metalstack/admin/v2/machine_pb.ts";
import {
  MachineBMCCommand as Command,
  MachineSchema,
  MachineService,
  MachineStateSchema,
} from "#gen/metalstack/api/v2/machine_pb.ts";
import { type Cli, say, withApi } from "../cli.ts";
import { createdText } from "../command/from-file.ts";
import { Failure } from "../failure.ts";
import type { ConnectFlags, OutputFlags, ScopeFlags } from "../flags.ts";
import { enumValue } from "../view/enum-text.ts";

/** What may be ordered, by the words of each command. */
export const orders = {
  power: {
    on: Command.MACHINE_BMC_COMMAND_ON,
    off: Command.MACHINE_BMC_COMMAND_OFF,
    reset: Command.MACHINE_BMC_COMMAND_RESET,
    cycle: Command.MACHINE_BMC_COMMAND_CYCLE,
  },
  identify: { on: Command.MACHINE_BMC_COMMAND_IDENTIFY_LED_ON, off: Command.MACHINE_BMC_COMMAND_IDENTIFY_LED_OFF },
  boot: {
    pxe: Command.MACHINE_BMC_COMMAND_BOOT_FROM_PXE,
    disk: Command.MACHINE_BMC_COMMAND_BOOT_FROM_DISK,
    bios: Command.MACHINE_BMC_COMMAND_BOOT_TO_BIOS,
  },
} as const;

const orderOf = (table: Readonly<Record<string, Command>>) =>
  async function (this: Cli, flags: ScopeFlags, uuid: string, word: string): Promise<void> {
    const command = table[word];
    if (command === undefined) throw new Failure(`${word}: ${Object.keys(table).join(", ")} is wanted`, 2);
    await withApi(this, flags, async (api, target) => {
      const project = flags.admin ? undefined : (flags.project ?? target.project);
      if (project === undefined) await api.client(AdminMachineService).bMCCommand({ uuid, command });
      else await api.client(MachineService).bMCCommand({ uuid, project, command });
    });
  };

export const powerMachine = orderOf(orders.power);
export const identifyMachine = orderOf(orders.identify);
export const bootMachine = orderOf(orders.boot);

export type StateFlags = ConnectFlags & OutputFlags & { readonly reason?: string | undefined };

export async function setMachineState(this: Cli, flags: StateFlags, uuid: string, word: string): Promise<void> {
  const state = enumValue(MachineStateSchema, word);
  if (state === undefined) throw new Failure(`${word}: available, locked or tainted is wanted`, 2);
  // What is said of the machine may be in any language; of a change it may not.
  await withApi(this, { ...flags, reason: undefined }, async (api) => {
    const request = { uuid, state, description: flags.reason ?? "" };
    const { machine } = await api.client(AdminMachineService).setState(request);
    if (machine) say(this, createdText(MachineSchema, machine, flags.output));
  });
}
