import { create } from "@bufbuild/protobuf";
import { touched } from "#domain/meta.ts";
import type { MachineDesired } from "#gen/holdfast/state/v1/machine_pb.ts";
import { MachineConditionSchema, MachineState } from "#gen/metalstack/api/v2/machine_pb.ts";
import { copyOf } from "#lib/message.ts";
import { Refusal } from "#lib/refusal.ts";

const names: Readonly<Record<MachineState, string>> = {
  [MachineState.UNSPECIFIED]: "unspecified",
  [MachineState.TAINTED]: "tainted",
  [MachineState.LOCKED]: "locked",
  [MachineState.AVAILABLE]: "available",
};

export interface WantedState {
  readonly state: MachineState;
  readonly description: string;
  /** Who asks. */
  readonly issuer: string;
  readonly nowMs: number;
}

/**
 * The machine in another state. From one held back to another there is no direct way, and only the one who gave a reason may
 * reword it, so that nobody overwrites another's.
 * @throws Refusal "invalid" or "precondition"
 */
export function inState(desired: MachineDesired, { state, description, issuer, nowMs }: WantedState): MachineDesired {
  const now = desired.condition ?? create(MachineConditionSchema, { state: MachineState.AVAILABLE });
  const isFree = state === MachineState.AVAILABLE;
  if (state === MachineState.UNSPECIFIED)
    throw new Refusal("invalid", "a state is wanted: available, tainted or locked", { field: "state" });
  if (isFree && description !== "")
    throw new Refusal("invalid", "the state available takes no description", { field: "description" });
  if (now.state !== MachineState.AVAILABLE && !isFree) {
    if (now.state === state && now.description === description) return desired;
    if (now.state !== state || now.issuer !== issuer) {
      const reason = now.description === "" ? "" : ` (${now.description})`;
      const text = `machine ${desired.uuid} is ${names[now.state]} by ${now.issuer}${reason}: make it available first`;
      throw new Refusal("precondition", text, { reason: "NOT_AVAILABLE", field: "state" });
    }
  }
  const next = copyOf(desired);
  next.condition = create(MachineConditionSchema, { state, description, issuer: isFree ? "" : issuer });
  next.meta = touched(desired.meta, nowMs);
  return next;
}
