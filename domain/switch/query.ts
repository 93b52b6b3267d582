import type { Switch, SwitchQuery } from "#gen/metalstack/api/v2/switch_pb.ts";
import { isWanted as is } from "../wanted.ts";

/** Whether a switch fits a query: every field that is set must hold. */
export function matchesSwitch(s: Switch, query: SwitchQuery | undefined): boolean {
  if (!query) return true;
  const { connectedMachineId: machine } = query;
  return (
    is(query.id, s.id) &&
    is(query.partition, s.partition) &&
    is(query.rack, s.rack) &&
    is(query.room, s.room) &&
    is(query.os?.vendor, s.os?.vendor) &&
    is(query.os?.version, s.os?.version) &&
    (machine === undefined || s.machineConnections.some((c) => c.machineId === machine))
  );
}
