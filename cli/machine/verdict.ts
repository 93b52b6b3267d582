// When is a wait over? Pure answers over one view of the machine.
import type { WatchResponse } from "#gen/holdfast/api/v1/machine_pb.ts";
import { type Machine, MachineProvisioningEventType } from "#gen/metalstack/api/v2/machine_pb.ts";
import { eventMs, newestEvent } from "./events.ts";

type Verdict = { readonly failure?: string } | undefined;

/** Installed: the operating system of this very allocation has phoned home. */
export const installed =
  (allocation: string) =>
  (view: WatchResponse): Verdict => {
    const present = view.machine?.allocation;
    if (view.deleted || present === undefined)
      return { failure: "the machine was released while it was being installed" };
    if (present.uuid !== allocation) return { failure: "the machine was given to somebody else meanwhile" };
    return newest(view.machine) === MachineProvisioningEventType.PHONED_HOME ? {} : undefined;
  };

/**
 * Reinstalled: the operating system has phoned home once more.
 * @param orderedMs time of the machine's newest event when the order was answered
 */
export const reinstalled =
  (allocation: string, orderedMs: number) =>
  (view: WatchResponse): Verdict => {
    const verdict = installed(allocation)(view);
    if (verdict === undefined || verdict.failure !== undefined) return verdict;
    const last = view.machine && newestEvent(view.machine);
    return last && eventMs(last) > orderedMs ? verdict : undefined;
  };

/**
 * Released: wiped and waiting again, told by a Waiting that is newer than the release; or out of the project's sight.
 * @param releasedMs time of the machine's newest event when the release was answered
 */
export const released =
  (releasedMs: number) =>
  (view: WatchResponse): Verdict => {
    if (view.deleted) return {};
    if (view.machine === undefined || view.machine.allocation !== undefined) return undefined;
    const last = newestEvent(view.machine);
    const isWaiting = last?.event === MachineProvisioningEventType.WAITING && eventMs(last) > releasedMs;
    return isWaiting ? {} : undefined;
  };

const newest = (machine: Machine | undefined) => (machine ? newestEvent(machine)?.event : undefined);
