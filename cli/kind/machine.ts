import { MachineService as AdminMachineService } from "#gen/metalstack/admin/v2/machine_pb.ts";
import {
  type Machine,
  MachineAllocationTypeSchema,
  MachineLivelinessSchema,
  MachineSchema,
  MachineService,
  MachineState,
  MachineStateSchema,
} from "#gen/metalstack/api/v2/machine_pb.ts";
import { lastEventText, newestEvent } from "../machine/events.ts";
import { enumText } from "../view/enum-text.ts";
import { ageText } from "../view/time.ts";
import { labelsText, shown } from "./kind.ts";

export const kind = shown({
  schema: MachineSchema,
  columns: (nowMs) => [
    { title: "UUID", of: (m) => m.uuid },
    { title: "NAME", of: (m) => m.allocation?.name ?? "" },
    { title: "SIZE", of: (m) => m.size?.id ?? "" },
    { title: "PARTITION", of: (m) => m.partition?.id ?? "" },
    { title: "IMAGE", of: (m) => m.allocation?.image?.id ?? "" },
    { title: "LAST EVENT", of: lastEventText },
    { title: "WHEN", of: (m) => ageText(newestEvent(m)?.time, nowMs) },
    { title: "STATE", of: stateText },
    { title: "IPS", of: (m) => m.allocation?.networks.flatMap((n) => n.ips).join(",") ?? "", wide: true },
    { title: "TYPE", of: (m) => enumText(MachineAllocationTypeSchema, m.allocation?.allocationType ?? 0), wide: true },
    { title: "PROJECT", of: (m) => m.allocation?.project ?? "", wide: true },
    { title: "RACK", of: (m) => m.rack, wide: true },
    { title: "LIVELINESS", of: (m) => enumText(MachineLivelinessSchema, m.status?.liveliness ?? 0), wide: true },
    { title: "LABELS", of: (m) => labelsText(m.allocation?.meta?.labels ?? m.meta?.labels), wide: true },
  ],
  list: async (api, scope) =>
    scope.isAdmin || scope.project === undefined
      ? (await api.client(AdminMachineService).list({ query: {} })).machines
      : (await api.client(MachineService).list({ project: scope.project })).machines,
  get: async (api, id, scope) =>
    scope.isAdmin || scope.project === undefined
      ? (await api.client(AdminMachineService).get({ uuid: id })).machine
      : (await api.client(MachineService).get({ uuid: id, project: scope.project })).machine,
});

function stateText(m: Machine): string {
  const condition = m.status?.condition;
  if (!condition || condition.state === MachineState.AVAILABLE) return "";
  const why = condition.description ? ` (${condition.description})` : "";
  return `${enumText(MachineStateSchema, condition.state)}${why}`;
}
