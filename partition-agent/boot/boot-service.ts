// metalstack.infra.v2.BootService as the partition serves it: from the ledger, whether or not central can be reached.
import { create, toBinary } from "@bufbuild/protobuf";
import type { HandlerContext, ServiceImpl } from "@connectrpc/connect";
import { isInstalled } from "#domain/machine/boot-target.ts";
import { hear } from "#domain/machine/hear.ts";
import { noteInstalled, registrationRefusal, takeIn } from "#domain/machine/registration.ts";
import { keepsDisks, reinstallProgress } from "#domain/machine/reinstall.ts";
import type { MachineDesired, MachineObserved } from "#gen/holdfast/state/v1/machine_pb.ts";
import { ConsolePasswordSchema } from "#gen/holdfast/state/v1/secret_pb.ts";
import { MachineProvisioningEventType as Event, MachineLiveliness } from "#gen/metalstack/api/v2/machine_pb.ts";
import {
  type BootService,
  type BootServiceRegisterRequest,
  BootServiceWaitResponseSchema,
} from "#gen/metalstack/infra/v2/boot_pb.ts";
import { Refusal } from "#lib/refusal.ts";
import type { BootFiles } from "./boot-files.ts";
import { beginSession, callerOf, inSession, noteInSession } from "./caller.ts";
import { checkTold } from "./duty.ts";
import { desiredOf, partitionOf, type Site, sizesOf } from "./site.ts";

export function bootService(site: Site, files: BootFiles): ServiceImpl<typeof BootService> {
  return {
    async dhcp({ uuid }, context) {
      await noteInSession(site, context, uuid, (m) => hear(m, Event.PXE_BOOTING, "", site.clock.wallMs()));
      return {};
    },

    async boot() {
      const { kernel, initrd } = await files.ready();
      const commandline = partitionOf(site)?.bootConfiguration?.commandline ?? "";
      return { kernel: files.url(kernel), initRamDisks: [files.url(initrd)], cmdline: commandline };
    },

    async register(request, context) {
      const claims = await beginSession(site, context, request.uuid);
      await checkHardware(site, request, claims.mac);
      const machine = await noteInSession(site, context, request.uuid, (m) => {
        checkTold(m, desiredOf(site, request.uuid));
        takeIn(m, request, { sizes: sizesOf(site), nowMs: site.clock.wallMs() });
      });
      return { uuid: machine.uuid, size: machine.size, partition: site.partition };
    },

    wait: (request, context) => waitForAllocation(site, request.uuid, context),

    async installationSucceeded({ uuid, consolePassword }, context) {
      const machine = await inSession(site, context, uuid);
      const desired = desiredOf(site, uuid);
      if (!desired?.allocation || machine.workedEpoch !== desired.epoch) {
        throw new Refusal("precondition", `machine ${uuid} has no allocation that was being installed`, {
          reason: "STALE_EPOCH",
        });
      }
      checkOverwritten(machine, desired);
      await tellConsolePassword(site, { uuid, epoch: desired.epoch, password: consolePassword });
      let isNew = false;
      await noteInSession(site, context, uuid, (m) => {
        isNew = noteInstalled(m, desired.epoch, site.clock.wallMs());
      });
      const { begun: reinstall } = reinstallProgress(desired, machine);
      if (isNew) site.log.info("machine-installed", { machine: uuid, epoch: `${desired.epoch}`, reinstall });
      return {};
    },

    superUserPassword: () => ({ featureDisabled: true, superUserPassword: "" }),
  };
}

/** What was not told to be begun could still be aborted: then the system that is there counts. @throws Refusal "precondition" */
function checkOverwritten(machine: MachineObserved, desired: MachineDesired): void {
  const { begun, overwritten } = reinstallProgress(desired, machine);
  if (!keepsDisks(desired, machine) || overwritten === begun) return;
  const text = `machine ${machine.uuid}: reinstallation ${begun} was never said to begin`;
  throw new Refusal("precondition", text, { reason: "NOT_BEGUN" });
}

/** Central's to show: nobody here asks for it. */
async function tellConsolePassword(
  { outbox, clock }: Site,
  given: { readonly uuid: string; readonly epoch: bigint; readonly password: string },
): Promise<void> {
  const value = toBinary(ConsolePasswordSchema, create(ConsolePasswordSchema, given));
  await outbox.put({ kind: "console-password", id: given.uuid, value, seenMs: clock.wallMs() });
}

/** What is refused here is refused in every boot until its cause is gone, so the machine's status names it. */
async function checkHardware(site: Site, request: BootServiceRegisterRequest, mac: string): Promise<void> {
  const ownerOf = (known: string) => site.observations.byMac(known, request.uuid);
  const refusal = registrationRefusal(request, { bootMac: mac, ownerOf });
  if (!refusal) return;
  await site.observations.update(request.uuid, (m) => {
    m.lastFailure = `register: ${refusal.message}`;
  });
  throw refusal;
}

/** An allocation that is there is sent at once, so that nothing is lost when the stream is opened again. */
async function* waitForAllocation(site: Site, uuid: string, context: HandlerContext) {
  const { boot } = await callerOf(site, context);
  const { wipedEpoch, lastFailure } = await inSession(site, context, uuid);
  // It was reported to a disk that is lost. Waiting for what never comes, the installer would be taken for alive for ever.
  if (wipedEpoch === 0n && lastFailure === "")
    throw new Refusal("precondition", `machine ${uuid}: no wipe of this boot is known here; boot again`, {
      reason: "NOT_WIPED",
    });
  try {
    for (;;) {
      const ring = site.bell.wait(context.signal);
      const machine = await inSession(site, context, uuid);
      // Nobody ends the stream of a machine whose power was cut; one that lives comes again.
      if (machine.liveliness === MachineLiveliness.DEAD)
        throw new Refusal("unavailable", `machine ${uuid} has been silent for too long to be waited for`, {
          reason: "SILENT",
        });
      const desired = desiredOf(site, uuid);
      // Of this boot: whoever begins one has wiped nothing yet.
      const isWiped = machine.wipedEpoch !== 0n;
      if (isWiped && desired?.allocation && !isInstalled(desired, machine)) {
        // From here on the installer works for this epoch: what it reports after a release is refused.
        await noteInSession(site, context, uuid, (m) => {
          m.workedEpoch = desired.epoch;
          m.waiting = false;
        });
        yield create(BootServiceWaitResponseSchema, { allocation: desired.allocation });
        return;
      }
      if (isWiped && machine.lastFailure === "" && !machine.waiting)
        await site.observations.update(uuid, (m) => setWaiting(m, boot, true));
      await ring;
      if (context.signal.aborted) return;
    }
  } finally {
    await site.observations.update(uuid, (m) => setWaiting(m, boot, false));
  }
}

/** A stream of an earlier boot, which may end late, says nothing about the present one. */
function setWaiting(m: MachineObserved, boot: string, waiting: boolean): void {
  if (m.boot === boot) m.waiting = waiting;
}
