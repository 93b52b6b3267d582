// metalstack.infra.v2.EventService for partitions without an agent: their daemons tell central what happens.
import type { ServiceImpl } from "@connectrpc/connect";
import { hear } from "#domain/machine/hear.ts";
import { recordEvent } from "#domain/machine/lifecycle.ts";
import type { MachineDesired, MachineObserved } from "#gen/holdfast/state/v1/machine_pb.ts";
import { MachineProvisioningEventType as Event } from "#gen/metalstack/api/v2/machine_pb.ts";
import type { EventService } from "#gen/metalstack/infra/v2/event_pb.ts";
import { Refusal } from "#lib/refusal.ts";
import { causeOf } from "../history/cause.ts";
import { type BootPorts, observe } from "./observe.ts";

/** Longest message that is kept of an event. */
const messageMax = 1024;

/** An only event that is refused tells why; of several the answer lists the machines. */
export function eventService(ports: BootPorts): ServiceImpl<typeof EventService> {
  return {
    async send({ events }, context) {
      const sent = Object.entries(events);
      const failed: string[] = [];
      const cause = causeOf(context);
      for (const [uuid, { event, message }] of sent) {
        try {
          const nowMs = ports.clock.wallMs();
          await observe(ports, uuid, cause, (m, desired) =>
            note(m, desired, event, message.slice(0, messageMax), nowMs),
          );
        } catch (error) {
          // The store's trouble is no machine's: all is to be sent again.
          if (!(error instanceof Refusal) || error.code === "unavailable") throw error;
          if (error.code !== "not-found" && sent.length === 1) throw error;
          ports.log.debug("event-refused", { machine: uuid.slice(0, 64), why: error.message });
          failed.push(uuid);
        }
      }
      return { events: BigInt(sent.length - failed.length), failed };
    },
  };
}

function note(m: MachineObserved, desired: MachineDesired, event: Event, message: string, nowMs: number): void {
  const { epoch, allocation } = desired;
  if (event !== Event.PHONED_HOME) {
    hear(m, event, message, nowMs);
    if (event === Event.INSTALLING && m.workedEpoch === 0n) m.workedEpoch = epoch;
    return;
  }
  // Such a phone-home does not say for whom. A system that was not installed under this epoch is one of the past, and no sign of life.
  if (!allocation || m.installedEpoch !== epoch) {
    m.events = recordEvent(m.events, event, message, nowMs);
    return;
  }
  hear(m, event, message, nowMs);
  m.phonedHomeEpoch = epoch;
}
