import { create } from "@bufbuild/protobuf";
import { hear } from "#domain/machine/hear.ts";
import { MachineProgressSchema } from "#gen/holdfast/state/v1/machine_pb.ts";
import { MachineProvisioningEventType as Event } from "#gen/metalstack/api/v2/machine_pb.ts";
import type { Random } from "#lib/random.ts";
import type { BootClaims } from "./boot-token.ts";
import type { Site } from "./site.ts";

/** Ids of later boots sort after those of earlier ones, as far as the clock does not go back. @param nowMs wall-clock milliseconds */
export const bootId = (nowMs: number, random: Random): string =>
  `${Math.max(0, Math.floor(nowMs)).toString(36).padStart(9, "0")}-${random.uuid()}`;

/** A machine is on its way into the installer. All of its former boot is over, and what its disks hold is not known again. */
export async function beginBoot(
  site: Site,
  uuid: string,
  { boot, firmware }: Pick<BootClaims, "boot" | "firmware">,
): Promise<void> {
  await site.observations.update(uuid, (m) => {
    hear(m, Event.PXE_BOOTING, "", site.clock.wallMs());
    m.boot = boot;
    m.workedEpoch = 0n;
    m.wipedEpoch = 0n;
    m.waiting = false;
    if (firmware !== undefined) m.firmware = firmware;
    m.progress ??= create(MachineProgressSchema);
    m.progress.steps = [];
  });
}
