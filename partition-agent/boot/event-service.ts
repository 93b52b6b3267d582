import type { ServiceImpl } from "@connectrpc/connect";
import { hear } from "#domain/machine/hear.ts";
import { MachineProvisioningEventType as Event } from "#gen/metalstack/api/v2/machine_pb.ts";
import type { EventService } from "#gen/metalstack/infra/v2/event_pb.ts";
import { Refusal } from "#lib/refusal.ts";
import { beginSession, noteInSession } from "./caller.ts";
import { desiredOf, type Site } from "./site.ts";

/** Longest message that is kept of an event. */
const messageMax = 1024;

/** metalstack.infra.v2.EventService for installers: each may speak for the machine that its token is for. */
export function eventService(site: Site): ServiceImpl<typeof EventService> {
  return {
    async send({ events }, context) {
      const failed: string[] = [];
      let count = 0n;
      for (const [uuid, { event, message }] of Object.entries(events)) {
        try {
          if (event === Event.PREPARING) await beginSession(site, context, uuid);
          const epoch = desiredOf(site, uuid)?.epoch ?? 0n;
          await noteInSession(site, context, uuid, (m) => {
            hear(m, event, message.slice(0, messageMax), site.clock.wallMs());
            if (event === Event.INSTALLING && m.workedEpoch === 0n) m.workedEpoch = epoch;
            // The stream that waits follows at once; whoever reads the event may allocate.
            if (event === Event.WAITING) m.waiting = m.wipedEpoch !== 0n;
          });
        } catch (error) {
          if (!(error instanceof Refusal) || error.code === "unauthenticated" || Object.keys(events).length === 1)
            throw error;
          failed.push(uuid);
          continue;
        }
        count++;
      }
      return { events: count, failed };
    },
  };
}
