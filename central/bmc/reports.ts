import { create, equals } from "@bufbuild/protobuf";
import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import { firstDesired } from "#domain/machine/first-desired.ts";
import type { MachineObserved } from "#gen/holdfast/state/v1/machine_pb.ts";
import { BmcAccessSchema } from "#gen/holdfast/state/v1/secret_pb.ts";
import { type MachineBMC, type MachineBMCReport, MachineBMCSchema } from "#gen/metalstack/api/v2/machine_pb.ts";
import { type BootPorts, checkNoAgent, draftOf, enter } from "../boot/observe.ts";
import { usable } from "../catalog/catalog.ts";
import type { Cause } from "../history/cause.ts";
import { ipIndexes } from "../ip/indexes.ts";
import { kinds } from "../store/kinds.ts";
import type { Tx } from "../store/tx.ts";
import { settleMore } from "../sync/settle.ts";
import type { Teller } from "../sync/took.ts";

/** Reports that one transaction takes: each writes three things at most. */
const groupMax = 32;

export interface TakenReports {
  readonly updatedMachines: string[];
  readonly createdMachines: string[];
}

/**
 * Enters what BMCs say. A machine that is not known becomes known by its BMC alone; one of another partition is left as it is.
 * @throws Refusal "not-found" for the partition, "precondition" where an agent writes
 */
export async function takeBmcReports(
  ports: BootPorts,
  partition: string,
  reports: readonly MachineBMCReport[],
  cause: Cause,
): Promise<TakenReports> {
  const { state, clock, log } = ports;
  const taken: TakenReports = { updatedMachines: [], createdMachines: [] };
  const { byMachine } = ipIndexes(state);
  // Of two about one machine the latter counts.
  const latest = [...new Map(reports.map((r) => [r.uuid, r])).values()];
  for (let i = 0; i === 0 || i < latest.length; i += groupMax) {
    const { result } = await state.transact((tx) => {
      usable(tx, kinds.partition, partition, "partition");
      checkNoAgent(tx, partition);
      const from = { partition, nowMs: clock.wallMs(), byMachine };
      return latest.slice(i, i + groupMax).map((r) => ({ uuid: r.uuid, ...take(tx, from, r) }));
    }, cause);
    for (const { uuid, how, isUnsettled } of result) {
      if (how === "created") taken.createdMachines.push(uuid);
      if (how === "updated") taken.updatedMachines.push(uuid);
      if (how === "elsewhere") log.warn("bmc-report-of-other-partition", { machine: uuid, partition });
      if (isUnsettled) await settleMore(state, uuid, cause);
    }
  }
  if (taken.createdMachines.length > 0)
    log.info("machines-found", { partition, machines: taken.createdMachines.length });
  return taken;
}

function take(tx: Tx, { partition, nowMs, byMachine }: Teller, report: MachineBMCReport) {
  const { uuid } = report;
  const known = tx.get(kinds.machineDesired, uuid);
  if (known && known.partition !== partition) return { how: "elsewhere" as const, isUnsettled: false };
  const machine = draftOf(tx, uuid, known);
  machine.partition = partition;
  note(machine, report, nowMs);
  if (report.bmc) keepAccess(tx, uuid, report.bmc);
  const desired = known ?? firstDesired(machine, nowMs);
  if (!known) tx.put(kinds.machineDesired, uuid, desired);
  return {
    how: known ? ("updated" as const) : ("created" as const),
    isUnsettled: enter(tx, byMachine, machine, desired),
  };
}

function note(m: MachineObserved, report: MachineBMCReport, nowMs: number): void {
  const { bmc, bios, fru, powerMetric, powerSupplies, ledState, updatedAt } = report;
  if (bmc) m.bmc = create(MachineBMCSchema, { ...bmc, user: "", password: "" });
  if (bios) m.bios = bios;
  if (fru) m.fru = fru;
  if (powerMetric) m.powerMetric = powerMetric;
  if (powerSupplies.length > 0) m.powerSupplies = powerSupplies;
  if (ledState) m.ledState = ledState;
  m.bmcUpdatedAt = updatedAt ?? timestampFromMs(nowMs);
}

/** Kept apart from all that is shown. Whoever says no user has none to tell. */
export function keepAccess(tx: Tx, uuid: string, { user, password }: MachineBMC): void {
  if (user === "") return;
  const access = create(BmcAccessSchema, { user, password });
  const before = tx.get(kinds.bmcAccess, uuid);
  if (!before || !equals(BmcAccessSchema, before, access)) tx.put(kinds.bmcAccess, uuid, access);
}
