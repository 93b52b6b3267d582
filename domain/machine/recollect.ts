import { clone } from "@bufbuild/protobuf";
import { timestampMs } from "@bufbuild/protobuf/wkt";
import { type MachineObserved, MachineObservedSchema } from "#gen/holdfast/state/v1/machine_pb.ts";
import { highestEpoch } from "./epoch.ts";

/**
 * What an agent knows of a machine after central has given back what it had been told of it: the later of the two. Both are its own
 * words, so the later one knew the earlier. A boot that began since then is later than anything that was told.
 * @param own what the agent remembers; undefined when it has forgotten the machine
 */
export function recollected(own: MachineObserved | undefined, told: MachineObserved): MachineObserved {
  const later = own === undefined || isLater(told, own) ? told : own;
  const next = clone(MachineObservedSchema, later);
  // Streams are open with this life of the agent alone.
  next.waiting = own?.waiting ?? false;
  next.hardware ??= own?.hardware ?? told.hardware;
  next.bmc ??= own?.bmc ?? told.bmc;
  next.port ??= own?.port ?? told.port;
  return next;
}

function isLater(a: MachineObserved, b: MachineObserved): boolean {
  if (a.boot !== b.boot) return a.boot > b.boot;
  const [epochA, epochB] = [highestEpoch(a), highestEpoch(b)];
  if (epochA !== epochB) return epochA > epochB;
  return heardMs(a) > heardMs(b);
}

const heardMs = ({ heardAt }: MachineObserved): number => (heardAt ? timestampMs(heardAt) : 0);
