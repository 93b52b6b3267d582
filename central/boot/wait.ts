import { create } from "@bufbuild/protobuf";
import type { HandlerContext } from "@connectrpc/connect";
import { isInstalled } from "#domain/machine/boot-target.ts";
import { hearSign } from "#domain/machine/hear.ts";
import type { MachineDesired, MachineObserved } from "#gen/holdfast/state/v1/machine_pb.ts";
import type { MachineAllocation } from "#gen/metalstack/api/v2/machine_pb.ts";
import { type BootServiceWaitResponse, BootServiceWaitResponseSchema } from "#gen/metalstack/infra/v2/boot_pb.ts";
import { linkedSignal } from "#lib/linked-signal.ts";
import { Refusal } from "#lib/refusal.ts";
import { type Cause, causeOf } from "../history/cause.ts";
import type { Change } from "../store/cache.ts";
import { kinds } from "../store/kinds.ts";
import { liveChanges } from "../sync/live-changes.ts";
import { type BootPorts, observe } from "./observe.ts";

/**
 * The machine waits for as long as the stream is open, and gets its allocation: at once when there is one, so that nothing is lost
 * when the stream is opened again. The latest stream is the machine's; whichever central an earlier one is at, it ends.
 */
export async function* waitForAllocation(
  ports: BootPorts,
  uuid: string,
  context: HandlerContext,
): AsyncGenerator<BootServiceWaitResponse> {
  const own = linkedSignal(context.signal);
  const changes = liveChanges(ports.state, own.signal);
  const stream = ports.random.uuid();
  const cause = causeOf(context);
  try {
    await observe(ports, uuid, cause, (m, desired) => {
      checkWork(m, desired);
      hearSign(m, ports.clock.wallMs());
      m.boot = stream;
    });
    let allocation = await offer(ports, uuid, stream, cause);
    if (!allocation) {
      for await (const batch of changes) {
        if (!batch.changes.some((change) => isAbout(change, uuid))) continue;
        allocation = await offer(ports, uuid, stream, cause);
        if (allocation) break;
      }
    }
    if (allocation) yield create(BootServiceWaitResponseSchema, { allocation });
  } finally {
    own.abort(new Error("the stream has ended"));
    own.unlink();
    await stopWaiting(ports, uuid, stream, cause);
  }
}

const isAbout = ({ kind, id }: Change, uuid: string): boolean =>
  kind.name === kinds.reportCursor.name ||
  (id === uuid && (kind.name === kinds.machineDesired.name || kind.name === kinds.machineObserved.name));

/** Notes that the machine waits, unless there is something for it to do. */
const offer = (ports: BootPorts, uuid: string, stream: string, cause: Cause): Promise<MachineAllocation | undefined> =>
  observe(ports, uuid, cause, (m, desired) => {
    if (m.boot !== stream) {
      const text = `machine ${uuid} has booted or asked again since: this stream is over`;
      throw new Refusal("precondition", text, { reason: "STALE_BOOT" });
    }
    checkWork(m, desired);
    const { allocation, epoch } = desired;
    if (allocation) {
      m.waiting = false;
      if (isInstalled(desired, m)) return undefined;
      // From here on the installer works for this epoch: what it reports after a release is refused.
      m.workedEpoch = epoch;
      return allocation;
    }
    m.waiting = m.lastFailure === "";
    // These installers wipe between Register and Wait, and have no word for it but this one.
    m.wipedEpoch = epoch;
    // Booted from the network, and never moved since: its port is still in the provisioning network.
    m.isolatedEpoch = epoch;
    return undefined;
  });

function checkWork(m: MachineObserved, { uuid, epoch }: MachineDesired): void {
  if (m.workedEpoch === 0n || m.workedEpoch === epoch) return;
  const text = `the allocation of epoch ${m.workedEpoch} is over: machine ${uuid} is at epoch ${epoch}, and has to boot again`;
  throw new Refusal("precondition", text, { reason: "STALE_EPOCH" });
}

async function stopWaiting(ports: BootPorts, uuid: string, stream: string, cause: Cause): Promise<void> {
  const { log } = ports;
  try {
    await observe(ports, uuid, cause, (m) => {
      if (m.boot === stream) m.waiting = false;
    });
  } catch (error) {
    log.warn("waiting-not-cleared", { machine: uuid, error });
  }
}
