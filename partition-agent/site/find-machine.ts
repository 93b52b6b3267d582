import { parseMac } from "#lib/net/mac.ts";
import { Refusal } from "#lib/refusal.ts";
import { type MachineRecord, macsOf } from "./machine.ts";

/** Machines that are named when a word fits too many. */
const namedMax = 5;

/**
 * The machine that a person means by a word: its uuid or the beginning of it, its MAC address, its hostname or its name.
 * A whole hostname or name goes before a beginning of a uuid.
 * @throws Refusal "not-found" for none, "invalid" when several fit
 */
export function findMachine(word: string, machines: readonly MachineRecord[]): MachineRecord {
  const wanted = word.trim().toLowerCase();
  const mac = parseMac(wanted);
  const fits: readonly ((machine: MachineRecord) => boolean)[] = mac.ok
    ? [({ observed }) => macsOf(observed).includes(mac.value)]
    : [
        ({ uuid }) => uuid === wanted,
        ({ desired }) => [desired?.allocation?.hostname, desired?.allocation?.name].some((n) => same(n, wanted)),
        ({ uuid }) => uuid.startsWith(wanted),
      ];
  for (const fit of fits) {
    const found = machines.filter(fit);
    const [first, second] = found;
    if (second) throw several(word, found);
    if (first) return first;
  }
  throw new Refusal("not-found", `no machine here has the uuid, MAC address, hostname or name ${word}`, {
    reason: "MACHINE_UNKNOWN",
    field: "machine",
  });
}

const same = (name: string | undefined, wanted: string): boolean =>
  name !== undefined && name !== "" && name.toLowerCase() === wanted;

function several(word: string, found: readonly MachineRecord[]): Refusal {
  const named = found.slice(0, namedMax).map(({ uuid }) => uuid);
  const more = found.length > namedMax ? ` and ${found.length - namedMax} more` : "";
  return new Refusal("invalid", `${word} means ${found.length} machines: ${named.join(", ")}${more}; say more of it`, {
    reason: "MACHINE_AMBIGUOUS",
    field: "machine",
  });
}
