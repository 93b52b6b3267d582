// What a BMC knows of its server, and what its orders mean. Pure: the caller performs the effect.

export type BootDevice = "default" | "pxe" | "bios" | "none";

export interface Chassis {
  readonly isOn: boolean;
  /** Where the next start boots from, once; ipmi_sim forgets the persistent bit, so every override is a one-time one. */
  readonly nextBoot: BootDevice;
  readonly identify: boolean;
}

export const chassisOff: Chassis = { isOn: false, nextBoot: "default", identify: false };

export type PowerEffect = { readonly kind: "start"; readonly boot: BootDevice } | { readonly kind: "stop" };

export interface Answer {
  readonly chassis: Chassis;
  readonly effects: readonly PowerEffect[];
  readonly lines: readonly string[];
  readonly error?: string;
}

/**
 * Carries out one call of ipmi_sim's chassis program.
 * @param args what ipmi_sim gave: `0x20 get power boot`, `0x20 set power 1`, `0x20 set reset 1`, `0x20 set boot pxe`,
 * `0x20 set shutdown 1`, `0x20 set identify 15 0`, `0x20 check …`
 */
export function command(chassis: Chassis, args: readonly string[]): Answer {
  const [, operation = "", ...rest] = args;
  switch (operation) {
    case "get":
      return { chassis, effects: [], lines: rest.map((p) => `${p}:${read(chassis, p)}`) };
    case "set":
      return setAll(chassis, rest);
    case "check":
      return { chassis, effects: [], lines: [] };
    default:
      return { chassis, effects: [], lines: [], error: `chassis operation ${operation} is not known` };
  }
}

function read(chassis: Chassis, parameter: string): string {
  if (parameter === "power") return chassis.isOn ? "1" : "0";
  if (parameter === "boot") return chassis.nextBoot;
  return "0";
}

function setAll(chassis: Chassis, pairs: readonly string[]): Answer {
  let state = chassis;
  const effects: PowerEffect[] = [];
  for (let i = 0; i + 1 < pairs.length; i += 1 + valuesOf(pairs[i]!)) {
    const next = setOne(state, pairs[i]!, pairs.slice(i + 1, i + 1 + valuesOf(pairs[i]!)));
    if (next.error !== undefined) return { ...next, chassis: state, effects };
    state = next.chassis;
    effects.push(...next.effects);
  }
  return { chassis: state, effects, lines: [] };
}

/** `identify SECONDS FORCE` has two values, every other parameter one. */
const valuesOf = (parameter: string): number => (parameter === "identify" ? 2 : 1);

function setOne(chassis: Chassis, parameter: string, [value = "", force = "0"]: readonly string[]): Answer {
  const same: Answer = { chassis, effects: [], lines: [] };
  switch (parameter) {
    case "power":
      if ((value === "1") === chassis.isOn) return same;
      return value === "1" ? startUp(chassis, []) : switchOff(chassis);
    case "shutdown":
      return chassis.isOn ? switchOff(chassis) : same;
    case "reset":
      return chassis.isOn ? startUp(chassis, [{ kind: "stop" }]) : same;
    case "boot":
      return isBootDevice(value)
        ? { chassis: { ...chassis, nextBoot: value }, effects: [], lines: [] }
        : { ...same, error: `boot device ${value} is not known` };
    case "identify":
      return { chassis: { ...chassis, identify: value !== "0" || force === "1" }, effects: [], lines: [] };
    default:
      return { ...same, error: `chassis parameter ${parameter} is not known` };
  }
}

const isBootDevice = (text: string): text is BootDevice => ["default", "pxe", "bios", "none"].includes(text);

const switchOff = (chassis: Chassis): Answer => ({
  chassis: { ...chassis, isOn: false },
  effects: [{ kind: "stop" }],
  lines: [],
});

/** A start uses up the one-time boot device. */
export function startUp(chassis: Chassis, before: readonly PowerEffect[]): Answer {
  return {
    chassis: { ...chassis, isOn: true, nextBoot: "default" },
    effects: [...before, { kind: "start", boot: chassis.nextBoot }],
    lines: [],
  };
}
