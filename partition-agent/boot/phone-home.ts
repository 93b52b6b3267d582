import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import { isInstalled } from "#domain/machine/boot-target.ts";
import { hear } from "#domain/machine/hear.ts";
import { recordEvent, stateOf } from "#domain/machine/lifecycle.ts";
import { isReinstallAhead } from "#domain/machine/reinstall.ts";
import type { MachineObserved } from "#gen/holdfast/state/v1/machine_pb.ts";
import { MachineProvisioningEventType as Event, MachineLiveliness } from "#gen/metalstack/api/v2/machine_pb.ts";
import { Refusal } from "#lib/refusal.ts";
import { sometimes } from "#lib/sometimes.ts";
import { desiredOf, type Site } from "./site.ts";

export type HomeAnswer = "welcome" | "gone";

/**
 * An installed system says that it is up, and then once a minute. It counts only for the allocation that its token was made for.
 * @returns "gone" when that allocation is over
 * @throws Refusal "unauthenticated"; "precondition" for a system whose installation did not end; "unavailable" while nothing is known here of what the machine is for
 */
export async function phoneHome(site: Site, token: string): Promise<HomeAnswer> {
  const { uuid, epoch } = await site.tokens.home(token, (id) => site.observations.get(id)?.homeTokenSha256);
  const desired = desiredOf(site, uuid);
  const nowMs = site.clock.wallMs();
  if (!desired)
    throw new Refusal("unavailable", `machine ${uuid}: nothing has come from central of it; ask again later`);
  if (!desired.allocation || desired.epoch !== epoch) {
    await site.observations.update(uuid, (m) => noteGhost(m, epoch, nowMs));
    sometimes(site.log, "a system of a released machine phoned home");
    return "gone";
  }
  const observed = site.observations.get(uuid);
  if (observed && isReinstallAhead(desired, observed)) {
    // It lives on until it is replaced; that it lives does not keep the machine from being reset.
    await site.observations.update(uuid, (m) => noteAlive(m, nowMs));
    return "welcome";
  }
  if (!isInstalled(desired, observed)) {
    // It may lack its last steps. It is not heard, so the machine counts as silent, and is installed again.
    const text = `machine ${uuid}: this system was never reported to be installed to its end`;
    throw new Refusal("precondition", text, { reason: "NOT_INSTALLED" });
  }
  await site.observations.update(uuid, (m) => {
    // The installer's last word can get lost when its port moves.
    if (stateOf(m.events) === Event.INSTALLING) hear(m, Event.BOOTING_NEW_KERNEL, "", nowMs);
    hear(m, Event.PHONED_HOME, "", nowMs);
    m.phonedHomeEpoch = epoch;
  });
  return "welcome";
}

function noteAlive(m: MachineObserved, nowMs: number): void {
  m.heardAt = timestampFromMs(nowMs);
  m.liveliness = MachineLiveliness.ALIVE;
}

/** Long after the release this is evidence that the machine still runs its old system. It is no sign of life of the machine as it should be. */
function noteGhost(m: MachineObserved, epoch: bigint, nowMs: number): void {
  m.events = recordEvent(m.events, Event.PHONED_HOME, `of epoch ${epoch}, which is over`, nowMs);
}
