import { stateOf } from "#domain/machine/lifecycle.ts";
import { MachineProvisioningEventType as Event } from "#gen/metalstack/api/v2/machine_pb.ts";
import { hear } from "../machine/hear.ts";
import { desiredOf, type Site } from "./site.ts";

export type HomeAnswer = "welcome" | "gone";

/**
 * An installed system says that it is up. It counts only for the allocation that its token was made for.
 * @returns "gone" when that allocation is over
 * @throws Refusal "unauthenticated"
 */
export async function phoneHome(site: Site, token: string): Promise<HomeAnswer> {
  const { uuid, epoch } = await site.tokens.home(token);
  const desired = desiredOf(site, uuid);
  const isPresent = desired?.allocation !== undefined && desired.epoch === epoch;
  const nowMs = site.clock.wallMs();
  await site.observations.update(uuid, (m) => {
    if (!isPresent) {
      // Long after the release this is evidence that the machine still runs its old system.
      const heardAt = m.heardAt;
      hear(m, Event.PHONED_HOME, `of epoch ${epoch}, which is over`, nowMs);
      if (heardAt) m.heardAt = heardAt;
      return;
    }
    // The installer's last word can get lost when its port moves.
    if (stateOf(m.events) === Event.INSTALLING && m.installedEpoch === epoch)
      hear(m, Event.BOOTING_NEW_KERNEL, "", nowMs);
    hear(m, Event.PHONED_HOME, "", nowMs);
    m.phonedHomeEpoch = epoch;
  });
  if (isPresent) return "welcome";
  site.log.warn("phone-home-of-the-past", { machine: uuid, epoch: `${epoch}` });
  return "gone";
}
