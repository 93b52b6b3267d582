import { create } from "@bufbuild/protobuf";
import { dueCommands } from "#domain/machine/due-commands.ts";
import type { MachineView } from "#domain/machine/placement.ts";
import { MachineBMCSchema } from "#gen/metalstack/api/v2/machine_pb.ts";
import { type WaitForBMCCommandResponse, WaitForBMCCommandResponseSchema } from "#gen/metalstack/infra/v2/bmc_pb.ts";
import { linkedSignal } from "#lib/linked-signal.ts";
import { type BootPorts, checkNoAgent } from "../boot/observe.ts";
import { unknown } from "../catalog/catalog.ts";
import { viewOf, viewsOfPartition } from "../machine/views.ts";
import { kinds } from "../store/kinds.ts";
import { liveChanges } from "../sync/live-changes.ts";

/** What a daemon repeats when a command has ended: the machine, and which of its commands it was. */
const commandIdOf = (uuid: string, id: string): string => `${uuid}/${id}`;

export function parseCommandId(text: string): { readonly uuid: string; readonly id: string } | undefined {
  const [uuid, id, ...more] = text.split("/");
  return uuid && id && more.length === 0 ? { uuid, id } : undefined;
}

/** Every command of the partition's machines that is due, once on this stream: those that are there, then those that come. */
export async function* waitForCommands(
  ports: BootPorts,
  partition: string,
  signal: AbortSignal,
): AsyncGenerator<WaitForBMCCommandResponse> {
  const { state } = ports;
  if (!state.get(kinds.partition, partition)) unknown("partition", partition);
  checkNoAgent(state, partition);
  const own = linkedSignal(signal);
  const changes = liveChanges(state, own.signal);
  /** By machine: what is due and was sent already. */
  const sent = new Map<string, readonly string[]>();
  try {
    for (const view of viewsOfPartition(state, partition)) yield* fresh(ports, view, sent);
    for await (const batch of changes) {
      checkNoAgent(state, partition);
      const uuids = new Set(batch.changes.filter((c) => concerned.includes(c.kind.name)).map((c) => c.id));
      for (const uuid of uuids) {
        const view = viewOf(state, uuid);
        if (view?.desired.partition === partition) yield* fresh(ports, view, sent);
      }
    }
  } finally {
    own.abort(new Error("the stream has ended"));
    own.unlink();
  }
}

const concerned: readonly string[] = [kinds.machineDesired.name, kinds.machineObserved.name];

function* fresh(
  { state, clock }: BootPorts,
  view: MachineView,
  sent: Map<string, readonly string[]>,
): Generator<WaitForBMCCommandResponse> {
  const { uuid } = view.desired;
  const due = dueCommands(view, clock.wallMs());
  const before = sent.get(uuid) ?? [];
  if (due.length === 0) sent.delete(uuid);
  else
    sent.set(
      uuid,
      due.map((c) => c.id),
    );
  const { user = "", password = "" } = state.get(kinds.bmcAccess, uuid)?.value ?? {};
  const machineBmc = create(MachineBMCSchema, { ...(view.observed?.bmc ?? create(MachineBMCSchema)), user, password });
  for (const { id, command } of due) {
    if (before.includes(id)) continue;
    const commandId = commandIdOf(uuid, id);
    yield create(WaitForBMCCommandResponseSchema, { uuid, bmcCommand: command, commandId, machineBmc });
  }
}
