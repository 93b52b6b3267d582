import { create } from "@bufbuild/protobuf";
import { touched } from "#domain/meta.ts";
import { portsTakenOver, takenOver } from "#domain/switch/take-over.ts";
import { SwitchSchema } from "#gen/metalstack/api/v2/switch_pb.ts";
import { copyOf } from "#lib/message.ts";
import { Refusal } from "#lib/refusal.ts";
import { hasAgent } from "../boot/observe.ts";
import { kinds } from "../store/kinds.ts";
import type { Tx } from "../store/tx.ts";
import { switchView } from "./views.ts";

/**
 * Hands the machines of one switch to another of the same rack, with what is wanted of their ports. They are recabled then; until
 * they register anew, they are taken to be where they will be.
 * @throws Refusal "not-found", "invalid", "precondition"
 */
export function migrate(
  tx: Tx,
  { from, to, nowMs }: { readonly from: string; readonly to: string; readonly nowMs: number },
) {
  const old = switchView(tx, from, nowMs, "old_switch");
  const next = switchView(tx, to, nowMs, "new_switch");
  const field = "new_switch";
  if (from === to) throw new Refusal("invalid", `switch ${from} cannot be migrated to itself`, { field });
  if (hasAgent(tx, old.observed.partition)) {
    const text = `partition ${old.observed.partition} has an agent, which sees by itself at which switch its machines are`;
    throw new Refusal("precondition", text, { reason: "PARTITION_HAS_AGENT" });
  }
  const place = (s: typeof old) => `rack ${s.observed.rack ?? "(none)"} of partition ${s.observed.partition}`;
  if (place(old) !== place(next)) {
    const text = `switch ${to} is in ${place(next)}, switch ${from} in ${place(old)}: they must stand in one rack`;
    throw new Refusal("precondition", text, { reason: "OTHER_RACK", field });
  }
  if (next.observed.machineConnections.length > 0) {
    const text = `switch ${to} has ${next.observed.machineConnections.length} machines at its ports already`;
    throw new Refusal("precondition", text, { reason: "MACHINES_CONNECTED", field });
  }
  tx.put(
    kinds.switch,
    to,
    create(SwitchSchema, { ...next.observed, machineConnections: takenOver(old.observed, next.observed) }),
  );
  tx.put(kinds.switch, from, create(SwitchSchema, { ...old.observed, machineConnections: [] }));
  const draft = copyOf(next.desired);
  draft.ports = { ...draft.ports, ...portsTakenOver(old.desired.ports, old.observed, next.observed) };
  draft.meta = touched(draft.meta, nowMs);
  tx.put(kinds.switchDesired, to, draft);
}
