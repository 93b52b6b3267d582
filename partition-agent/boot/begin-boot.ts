import { create } from "@bufbuild/protobuf";
import { hear } from "#domain/machine/hear.ts";
import { keepsDisks, noteBegun } from "#domain/machine/reinstall.ts";
import { MachineProgressSchema } from "#gen/holdfast/state/v1/machine_pb.ts";
import { MachineProvisioningEventType as Event } from "#gen/metalstack/api/v2/machine_pb.ts";
import type { Random } from "#lib/random.ts";
import type { BootClaims } from "./boot-token.ts";
import { desiredOf, type Site } from "./site.ts";

/** Ids of later boots sort after those of earlier ones, as far as the clock does not go back. @param nowMs wall-clock milliseconds */
export const bootId = (nowMs: number, random: Random): string =>
  `${Math.max(0, Math.floor(nowMs)).toString(36).padStart(9, "0")}-${random.uuid()}`;

/**
 * A machine is on its way into the installer. All of its former boot is over, and what its disks hold is not known again; but where
 * they hold data of its allocation, the installer works for that from the beginning.
 */
export async function beginBoot(
  site: Site,
  uuid: string,
  { boot, firmware }: Pick<BootClaims, "boot" | "firmware">,
): Promise<void> {
  await site.observations.update(uuid, (m) => {
    const desired = desiredOf(site, uuid);
    const keeps = desired && keepsDisks(desired, m);
    hear(m, Event.PXE_BOOTING, "", site.clock.wallMs());
    m.boot = boot;
    m.workedEpoch = keeps ? desired.epoch : 0n;
    m.wipedEpoch = 0n;
    m.waiting = false;
    if (keeps) {
      m.phonedHomeEpoch = 0n;
      m.diskBootEpoch = 0n;
    }
    noteBegun(m, desired);
    if (firmware !== undefined) m.firmware = firmware;
    m.progress ??= create(MachineProgressSchema);
    m.progress.steps = [];
  });
}
