import type { BmcOrder, EffectRecord } from "#gen/holdfast/state/v1/machine_pb.ts";
import { MachineBMCCommand as Command } from "#gen/metalstack/api/v2/machine_pb.ts";
import type { MachineFacts } from "./plan.ts";

/** What became of an effect that was begun and has no end. Only what is not done, or may be done twice, is done once more. */
export type Found =
  | { readonly kind: "done" }
  | { readonly kind: "not-done"; readonly why: string }
  | { readonly kind: "in-doubt"; readonly why: string };

const ended = "the agent ended before it knew how this ended";

/**
 * @param facts with whether the order must not be carried out any more
 * @returns what the world shows of it; undefined: it cannot be seen yet
 */
export function lookBack(
  { effect, order }: EffectRecord,
  { power, port, isVoid }: Pick<MachineFacts, "power" | "port"> & { readonly isVoid: boolean },
): Found | undefined {
  if (order) return lookBackAtOrder(order, power, isVoid);
  if (effect === "boot-from-disk-next") return { kind: "not-done", why: `${ended}; it is done again` };
  if (effect === "move-port") {
    if (port.kind === "unknown") return undefined;
    const now = port.kind === "at" ? `port ${port.port} of ${port.switch} was found in ${port.network}` : "no switch";
    return { kind: "in-doubt", why: `${ended}; ${now}` };
  }
  return power.state === "unknown"
    ? undefined
    : { kind: "in-doubt", why: `${ended}; the machine was found ${power.state}` };
}

function lookBackAtOrder(order: BmcOrder, power: MachineFacts["power"], isVoid: boolean): Found | undefined {
  const wanted = powerAfter[order.command];
  if (repeatable.includes(order.command)) return { kind: "not-done", why: `${ended}; it may be done again` };
  if (wanted === undefined)
    return { kind: "in-doubt", why: `${ended}: it may have been carried out, and is not repeated` };
  if (power.state === wanted) return { kind: "done" };
  if (power.state !== "unknown") return { kind: "not-done", why: `${ended}; the machine was found ${power.state}` };
  return isVoid
    ? { kind: "in-doubt", why: `${ended}, and could not ask the BMC while the order held: ${power.why}` }
    : undefined;
}

/** Orders that name the state they lead to. */
const powerAfter: Readonly<Partial<Record<Command, "on" | "off">>> = {
  [Command.MACHINE_BMC_COMMAND_ON]: "on",
  [Command.MACHINE_BMC_COMMAND_OFF]: "off",
};

/** Set for good, and the same when set twice; what holds for one boot may have been used up. */
const repeatable: readonly Command[] = [
  Command.MACHINE_BMC_COMMAND_BOOT_FROM_DISK,
  Command.MACHINE_BMC_COMMAND_IDENTIFY_LED_ON,
  Command.MACHINE_BMC_COMMAND_IDENTIFY_LED_OFF,
];
