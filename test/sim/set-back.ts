import { fromBinary } from "@bufbuild/protobuf";
import { type Kind, keyOf, kinds, type Of } from "#central/store/kinds.ts";
import type { Backup } from "#central/store/memory-store.ts";
import type { Surroundings } from "./datacenter.ts";
import { thingsIn } from "./deletions.ts";
import type { StoreCopy } from "./seen.ts";

/** Central's store becomes what it was at the backup. Resolves when all centrals are up again. */
export async function setBack({ central, invariants }: Surroundings, backup: Backup): Promise<void> {
  central.kill();
  invariants.onStoreRestore(heldBy(backup));
  central.store.restore(backup);
  await Promise.all(central.all.map((one) => one.revive()));
}

function heldBy({ items }: Backup): StoreCopy {
  const list = <K extends Kind>(kind: K) =>
    items
      .filter(({ key }) => key.startsWith(keyOf(kind, "")))
      .map(({ key, value }) => ({
        id: key.slice(keyOf(kind, "").length),
        value: fromBinary(kind.schema, value) as Of<K>, // the schema is that of the kind
      }));
  const machines = new Map(list(kinds.machineDesired).map(({ id, value }) => [id, value]));
  const things = new Set(thingsIn(list));
  return { machine: (uuid) => machines.get(uuid), has: (thing) => things.has(thing) };
}
