// metalstack.infra.v2.BootService for partitions without an agent: their boot service and installers speak to central.
import { create } from "@bufbuild/protobuf";
import type { ServiceImpl } from "@connectrpc/connect";
import { bootTarget } from "#domain/machine/boot-target.ts";
import { firstDesired } from "#domain/machine/first-desired.ts";
import { hear } from "#domain/machine/hear.ts";
import { noteInstalled, registrationRefusal, takeIn } from "#domain/machine/registration.ts";
import { cabled } from "#domain/switch/cabling.ts";
import type { MachineObserved } from "#gen/holdfast/state/v1/machine_pb.ts";
import { ConsolePasswordSchema } from "#gen/holdfast/state/v1/secret_pb.ts";
import { MachineProvisioningEventType as Event } from "#gen/metalstack/api/v2/machine_pb.ts";
import type { BootService, BootServiceRegisterRequest } from "#gen/metalstack/infra/v2/boot_pb.ts";
import { Refusal } from "#lib/refusal.ts";
import { keepAccess } from "../bmc/reports.ts";
import { unknown, usable } from "../catalog/catalog.ts";
import { causeOf } from "../history/cause.ts";
import { ipIndexes } from "../ip/indexes.ts";
import { keepConsolePassword } from "../machine/console-password.ts";
import { kinds } from "../store/kinds.ts";
import type { Tx } from "../store/tx.ts";
import type { IpsByMachine } from "../sync/settle.ts";
import { settleMore } from "../sync/settle.ts";
import { type BootPorts, beginBoot, checkNoAgent, draftOf, enter, observe } from "./observe.ts";
import { waitForAllocation } from "./wait.ts";

export function bootService(ports: BootPorts): ServiceImpl<typeof BootService> {
  const { state, clock, random, log } = ports;
  return {
    async dhcp({ uuid, partition }, context) {
      partitionOf(ports, partition);
      // One that is new becomes known when it registers.
      if (!state.get(kinds.machineDesired, uuid)) return {};
      const boot = random.uuid();
      await observe(ports, uuid, causeOf(context), (m, desired) => {
        checkHome(uuid, desired.partition, partition);
        hear(m, Event.PXE_BOOTING, "", clock.wallMs());
        beginBoot(m, boot);
      });
      return {};
    },

    boot({ mac, partition }) {
      const configuration = partitionOf(ports, partition).bootConfiguration;
      const known = ownerOf(state.list(kinds.machineObserved), partition, mac.toLowerCase());
      if (known) checkNotInstalled(known, state.get(kinds.machineDesired, known.uuid)?.value);
      if (!configuration) {
        const text = `partition ${partition} has no boot configuration: set kernel and image by PartitionService.Update`;
        throw new Refusal("precondition", text, { reason: "NO_BOOT_CONFIGURATION" });
      }
      const { kernelUrl, imageUrl, commandline } = configuration;
      return { kernel: kernelUrl, initRamDisks: [imageUrl], cmdline: commandline };
    },

    async register(request, context) {
      const { uuid, partition } = request;
      const boot = random.uuid();
      const cause = causeOf(context);
      const seen = { boot, nowMs: clock.wallMs(), byMachine: ipIndexes(state).byMachine };
      const { result } = await state.transact((tx) => register(tx, request, seen), cause);
      if (result.isUnsettled) await settleMore(state, uuid, cause);
      log.info("machine-registered", { machine: uuid, partition, size: result.size });
      return { uuid, size: result.size, partition };
    },

    wait: ({ uuid }, context) => waitForAllocation(ports, uuid, context),

    async installationSucceeded({ uuid, consolePassword: password }, context) {
      await observe(ports, uuid, causeOf(context), (m, desired, tx) => {
        const { allocation, epoch } = desired;
        if (!allocation || m.workedEpoch !== epoch) {
          const text = `machine ${uuid} has no allocation that was being installed`;
          throw new Refusal("precondition", text, { reason: "STALE_EPOCH" });
        }
        noteInstalled(m, epoch, clock.wallMs());
        keepConsolePassword(tx, desired, create(ConsolePasswordSchema, { uuid, epoch, password }));
      });
      log.info("machine-installed", { machine: uuid });
      return {};
    },

    superUserPassword: () => ({ featureDisabled: true, superUserPassword: "" }),
  };
}

function register(
  tx: Tx,
  request: BootServiceRegisterRequest,
  { boot, nowMs, byMachine }: { readonly boot: string; readonly nowMs: number; readonly byMachine: IpsByMachine },
) {
  const { uuid, partition } = request;
  usable(tx, kinds.partition, partition, "partition");
  checkNoAgent(tx, partition);
  const known = tx.get(kinds.machineDesired, uuid);
  if (known) checkHome(uuid, known.partition, partition);
  const machines = tx.list(kinds.machineObserved);
  const refusal = registrationRefusal(request, {
    bootMac: undefined,
    ownerOf: (mac) => ownerOf(machines, partition, mac, uuid),
  });
  if (refusal) throw refusal;
  const machine = draftOf(tx, uuid, known);
  machine.partition = partition;
  checkNotInstalled(machine, known);
  takeIn(machine, request, { sizes: tx.list(kinds.size).map((s) => s.value), nowMs });
  beginBoot(machine, boot);
  placeAtSwitches(tx, machine);
  if (request.bmc) keepAccess(tx, uuid, request.bmc);
  const desired = known ?? firstDesired(machine, nowMs);
  if (!known) tx.put(kinds.machineDesired, uuid, desired);
  return { size: machine.size, isUnsettled: enter(tx, byMachine, machine, desired) };
}

/** A machine stands where its leaf switches do. */
function placeAtSwitches(tx: Tx, machine: MachineObserved): void {
  const { uuid, partition, hardware } = machine;
  const switches = tx.list(kinds.switch).flatMap(({ value }) => (value.partition === partition ? [value] : []));
  const { changed, leaves } = cabled(uuid, hardware, switches);
  for (const next of changed) tx.put(kinds.switch, next.id, next);
  const [leaf] = leaves;
  if (leaf?.rack !== undefined) machine.rack = leaf.rack;
  if (leaf?.room !== undefined) machine.room = leaf.room;
}

/** @throws Refusal "not-found"; "precondition" where an agent answers */
function partitionOf({ state }: BootPorts, id: string) {
  const partition = state.get(kinds.partition, id)?.value ?? unknown("partition", id);
  checkNoAgent(state, id);
  return partition;
}

function checkHome(uuid: string, home: string, partition: string): void {
  if (home === partition) return;
  const text = `machine ${uuid} belongs to partition ${home}, not ${partition}: forget it first if it has moved`;
  throw new Refusal("precondition", text, { reason: "OTHER_PARTITION", field: "partition" });
}

/** These installers wipe whatever they find after they have registered, so an installed machine must not get that far. */
function checkNotInstalled(machine: MachineObserved, desired: Parameters<typeof bootTarget>[0]): void {
  if (bootTarget(desired, machine) !== "disk") return;
  const text = `machine ${machine.uuid} is installed and in use: it must boot from its disk`;
  throw new Refusal("precondition", text, { reason: "MACHINE_INSTALLED" });
}

/** Two partitions may well know the same address; only one's machines can answer for it there. */
function ownerOf(
  machines: readonly { readonly value: MachineObserved }[],
  partition: string,
  mac: string,
  other?: string,
): MachineObserved | undefined {
  return machines.find(
    ({ value: m }) =>
      m.uuid !== other && m.partition === partition && m.hardware?.nics.some((nic) => nic.mac.toLowerCase() === mac),
  )?.value;
}
