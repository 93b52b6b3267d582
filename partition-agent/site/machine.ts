import { create } from "@bufbuild/protobuf";
import { bootTarget, isInstalled } from "#domain/machine/boot-target.ts";
import { portNetwork } from "#domain/machine/port-network.ts";
import { type SiteMachine, SiteMachineSchema, SiteMachineState as State } from "#gen/holdfast/site/v1/machine_pb.ts";
import type { BmcOrder, MachineDesired, MachineObserved } from "#gen/holdfast/state/v1/machine_pb.ts";
import { lostRecord } from "../machine/lost-record.ts";
import { isPast, openOrders } from "../machine/plan.ts";

/** What the agent knows of one machine; at least one half is there. */
export interface MachineRecord {
  readonly uuid: string;
  readonly desired: MachineDesired | undefined;
  readonly observed: MachineObserved | undefined;
}

/** @param localOrders those that people on site gave */
export function siteMachine(record: MachineRecord, localOrders: readonly BmcOrder[]): SiteMachine {
  const { uuid, desired, observed } = record;
  const allocation = desired?.allocation;
  const latest = observed?.events?.events.at(-1);
  return create(SiteMachineSchema, {
    uuid,
    macs: macsOf(observed),
    name: allocation?.name ?? "",
    hostname: allocation?.hostname ?? "",
    project: allocation?.project ?? "",
    image: allocation?.image?.id ?? "",
    state: siteState(record),
    epoch: desired?.epoch ?? 0n,
    powerState: observed?.bmc?.powerState ?? "",
    heldOff: observed?.heldOff === true && observed.heldOffEpoch === (desired?.epoch ?? 0n),
    ...(observed?.port && { port: observed.port }),
    wantedNetwork: portNetwork(desired, observed),
    bootTarget: bootTarget(desired, observed),
    ...(observed?.progress && { progress: observed.progress }),
    ...(latest && { lastEvent: latest.event }),
    ...(observed?.events?.lastEventTime && { lastEventAt: observed.events.lastEventTime }),
    ...(observed?.heardAt && { heardAt: observed.heardAt }),
    ...(observed && { liveliness: observed.liveliness }),
    lastFailure: observed?.lastFailure ?? "",
    bmcAddress: observed?.bmc?.address ?? "",
    size: observed?.size ?? "",
    rack: observed?.rack ?? "",
    orders: [...openOrders(desired, observed, localOrders)],
    outcomes: observed?.outcomes ?? [],
    effects: observed?.effects ?? [],
  });
}

export function siteState({ desired, observed }: MachineRecord): State {
  if (lostRecord(desired, observed) !== undefined) return State.LEFT_ALONE;
  if (desired && observed && isPast(desired, observed)) return State.RELEASED;
  if (isInstalled(desired, observed)) return State.IN_USE;
  if (desired?.allocation) return State.INSTALLING;
  return observed?.waiting ? State.READY : State.PREPARING;
}

export const macsOf = (observed: MachineObserved | undefined): string[] =>
  (observed?.hardware?.nics ?? []).map(({ mac }) => mac.toLowerCase()).filter((mac) => mac !== "");
