import { SwitchService } from "#gen/metalstack/admin/v2/switch_pb.ts";
import { SwitchOSVendorSchema, SwitchReplaceModeSchema, SwitchSchema } from "#gen/metalstack/api/v2/switch_pb.ts";
import { enumText } from "../view/enum-text.ts";
import { ageText } from "../view/time.ts";
import { shown } from "./kind.ts";

export const kind = shown({
  schema: SwitchSchema,
  columns: (nowMs) => [
    { title: "ID", of: (s) => s.id },
    { title: "PARTITION", of: (s) => s.partition },
    { title: "RACK", of: (s) => s.rack ?? "" },
    { title: "PORTS", of: (s) => `${s.nics.length}` },
    { title: "MACHINES", of: (s) => `${s.machineConnections.length}` },
    { title: "SYNC", of: (s) => ageText(s.lastSync?.time, nowMs) },
    { title: "ERROR", of: (s) => s.lastSyncError?.error ?? "" },
    { title: "ADDRESS", of: (s) => s.managementIp, wide: true },
    { title: "OS", of: (s) => (s.os ? enumText(SwitchOSVendorSchema, s.os.vendor) : ""), wide: true },
    { title: "MODE", of: (s) => enumText(SwitchReplaceModeSchema, s.replaceMode), wide: true },
  ],
  list: async (api) => (await api.client(SwitchService).list({ query: {} })).switches,
  get: async (api, id) => (await api.client(SwitchService).get({ id })).switch,
});
