import { create } from "@bufbuild/protobuf";
import type { MachineView } from "#domain/machine/placement.ts";
import {
  type MachineBMCDetails,
  MachineBMCDetailsSchema,
  MachineBMCReportSchema,
} from "#gen/metalstack/api/v2/machine_pb.ts";

/** What the agent read from a machine's BMC. Without user and password: they never leave the partition. */
export const bmcDetails = ({ desired, observed }: MachineView): MachineBMCDetails =>
  create(MachineBMCDetailsSchema, {
    uuid: desired.uuid,
    partition: desired.partition,
    rack: observed?.rack ?? "",
    room: observed?.room ?? "",
    size: observed?.size ?? "",
    bmcReport: create(MachineBMCReportSchema, {
      uuid: desired.uuid,
      ...(observed?.bmc && { bmc: observed.bmc }),
      ...(observed?.bios && { bios: observed.bios }),
      ...(observed?.fru && { fru: observed.fru }),
      ...(observed?.powerMetric && { powerMetric: observed.powerMetric }),
      powerSupplies: observed?.powerSupplies ?? [],
      ...(observed?.ledState && { ledState: observed.ledState }),
      ...(observed?.bmcUpdatedAt && { updatedAt: observed.bmcUpdatedAt }),
    }),
  });
