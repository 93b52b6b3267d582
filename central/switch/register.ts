import { create } from "@bufbuild/protobuf";
import { touched } from "#domain/meta.ts";
import { vendorOf } from "#domain/switch/cabling.ts";
import { portsTakenOver, takenOver } from "#domain/switch/take-over.ts";
import {
  type MachineConnection,
  type Switch,
  SwitchNicSchema,
  SwitchReplaceMode,
  SwitchSchema,
} from "#gen/metalstack/api/v2/switch_pb.ts";
import { copyOf } from "#lib/message.ts";
import { Refusal } from "#lib/refusal.ts";
import { checkNoAgent } from "../boot/observe.ts";
import { usable } from "../catalog/catalog.ts";
import { kinds } from "../store/kinds.ts";
import type { Tx } from "../store/tx.ts";
import { enterSwitch, isReplaced, type SwitchView, switchView } from "./views.ts";

/**
 * Enters a switch as its daemon sees it. Which networks its ports are in is not the daemon's to say, and who hangs on them stays.
 * @throws Refusal "not-found", "invalid"; "precondition" for one that is not what it was
 */
export function registerSwitch(tx: Tx, seen: Switch, nowMs: number): void {
  usable(tx, kinds.partition, seen.partition, "partition");
  checkNoAgent(tx, seen.partition);
  const names = seen.nics.map((nic) => nic.name);
  const twice = names.find((name, i) => names.indexOf(name) !== i);
  if (twice !== undefined) throw new Refusal("invalid", `port ${twice} is named twice`, { field: "switch.nics" });
  const nics = seen.nics.map(({ vrf: _, bgpFilter: __, ...nic }) => create(SwitchNicSchema, nic));
  const fresh = create(SwitchSchema, { ...seen, nics, machineConnections: [] });
  if (!tx.get(kinds.switch, seen.id)) {
    enterSwitch(tx, fresh, nowMs);
    return;
  }
  const before = switchView(tx, seen.id, nowMs);
  checkSame(before, fresh);
  const { lastSync, lastSyncError } = before.observed;
  const kept = { ...(lastSync && { lastSync }), ...(lastSyncError && { lastSyncError }) };
  const machineConnections = connectionsOf(tx, before, fresh);
  enterSwitch(tx, create(SwitchSchema, { ...fresh, ...kept, machineConnections }), nowMs);
  if (!isReplaced(before.desired)) return;
  const draft = copyOf(before.desired);
  draft.replaceMode = SwitchReplaceMode.OPERATIONAL;
  draft.ports = portsTakenOver(draft.ports, before.observed, fresh);
  delete draft.os;
  draft.meta = touched(draft.meta, nowMs);
  tx.put(kinds.switchDesired, seen.id, draft);
}

function checkSame(before: SwitchView, seen: Switch): void {
  const { observed } = before;
  const wrong = (what: string, reason: string, field: string) =>
    new Refusal("precondition", `switch ${seen.id} ${what}`, { reason, field: `switch.${field}` });
  if (observed.partition !== seen.partition) {
    throw wrong(
      `belongs to partition ${observed.partition}: delete it first if it has moved`,
      "OTHER_PARTITION",
      "partition",
    );
  }
  if (observed.rack !== seen.rack && observed.machineConnections.length > 0) {
    throw wrong(`has machines of rack ${observed.rack ?? "(none)"} at its ports`, "MACHINES_CONNECTED", "rack");
  }
  if (vendorOf(observed) !== vendorOf(seen) && !isReplaced(before.desired)) {
    throw wrong("is of another vendor now: set its replace_mode to REPLACE first", "NOT_REPLACED", "os.vendor");
  }
}

/** Of the switch itself; of one that is replaced and has none, those of its twin, whose machines are at the same ports of both. */
function connectionsOf(tx: Tx, before: SwitchView, seen: Switch): MachineConnection[] {
  const { observed } = before;
  if (observed.machineConnections.length > 0 || !isReplaced(before.desired)) return takenOver(observed, seen);
  const isTwin = (s: Switch) => s.id !== seen.id && s.partition === seen.partition && s.rack === seen.rack;
  const twins = tx.list(kinds.switch).flatMap(({ value }) => (isTwin(value) ? [value] : []));
  const [twin, other] = twins.filter((s) => s.machineConnections.length > 0);
  if (!twin) return [];
  if (other) {
    const text = `switch ${seen.id}: both ${twin.id} and ${other.id} of its rack have machines: which is its twin cannot be told`;
    throw new Refusal("precondition", text, { reason: "TWIN_UNCLEAR", field: "switch.rack" });
  }
  return takenOver(twin, seen);
}
