// Facts about one machine, and what is decided on them.
import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import { recordEvent } from "#domain/machine/lifecycle.ts";
import { MachineDesiredSchema, MachineObservedSchema } from "#gen/holdfast/state/v1/machine_pb.ts";
import {
  MachineProvisioningEventType as Event,
  type MachineRecentProvisioningEvents,
} from "#gen/metalstack/api/v2/machine_pb.ts";
import { exactly } from "../../link/central-time.ts";
import { type MachineFacts, planMachine } from "../plan.ts";

export const now = Date.UTC(2026, 0, 1);
export const uuid = "2f1d2cf4-7f0c-4a58-a2f1-b1a4cbb1a001";
export const ago = (ms: number) => timestampFromMs(now - ms);

export const logOf = (...events: readonly Event[]): MachineRecentProvisioningEvents | undefined =>
  events.reduce<MachineRecentProvisioningEvents | undefined>(
    (log, e) => recordEvent(log, e, "", now - 1000),
    undefined,
  );

export const waiting = [Event.PXE_BOOTING, Event.PREPARING, Event.REGISTERING, Event.WAITING];

/** A free machine at epoch 1 that waits in the installer, its port isolated. */
export function facts(change: {
  desired?: MessageInitShape<typeof MachineDesiredSchema> | undefined;
  observed?: MessageInitShape<typeof MachineObservedSchema>;
  facts?: Partial<MachineFacts>;
}): MachineFacts {
  const events = logOf(...waiting);
  return {
    desired: create(MachineDesiredSchema, { uuid, partition: "p", epoch: 1n, ...change.desired }),
    observed: create(MachineObservedSchema, {
      uuid,
      ...(events && { events }),
      heardAt: ago(1000),
      boot: "b1",
      isolatedEpoch: 1n,
      wipedEpoch: 1n,
      ...change.observed,
    }),
    localOrders: [],
    safeMode: undefined,
    power: { state: "on" },
    port: { kind: "at", switch: "leaf1", port: "tap1", network: "provisioning" },
    nowMs: now,
    centralTime: exactly(now),
    listeningSinceMs: now - 24 * 3_600_000,
    newMachines: "power on",
    ...change.facts,
  };
}

/** In a word. */
export const effectOf = (f: MachineFacts) => {
  const decision = planMachine(f);
  if (decision.kind === "wait") return `wait: ${decision.why}`;
  return (decision.kind === "act" ? decision.effect : decision.note).kind;
};
