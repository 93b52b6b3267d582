import { fromBinary } from "@bufbuild/protobuf";
import { keyOf, kinds } from "#central/store/kinds.ts";
import type { Backup } from "#central/store/memory-store.ts";
import { MachineDesiredSchema } from "#gen/holdfast/state/v1/machine_pb.ts";
import type { Surroundings } from "./datacenter.ts";

/** Central's store becomes what it was at the backup. Resolves when all centrals are up again. */
export async function setBack({ central, invariants }: Surroundings, backup: Backup): Promise<void> {
  const desired = new Map(backup.items.map(({ key, value }) => [key, value]));
  central.kill();
  invariants.onStoreRestore((uuid) => {
    const bytes = desired.get(keyOf(kinds.machineDesired, uuid));
    return bytes && fromBinary(MachineDesiredSchema, bytes).epoch;
  });
  central.store.restore(backup);
  await Promise.all(central.all.map((one) => one.revive()));
}
