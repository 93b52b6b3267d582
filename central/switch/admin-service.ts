// metalstack.admin.v2.SwitchService: the switches that the partitions' agents report.
import type { ServiceImpl } from "@connectrpc/connect";
import { matchesSwitch } from "#domain/switch/query.ts";
import type { SwitchService } from "#gen/metalstack/admin/v2/switch_pb.ts";
import { Refusal } from "#lib/refusal.ts";
import { kinds } from "../store/kinds.ts";
import type { State } from "../store/state.ts";

export function adminSwitchService(state: State): Partial<ServiceImpl<typeof SwitchService>> {
  return {
    get({ id }) {
      const found = state.get(kinds.switch, id);
      if (!found) throw new Refusal("not-found", `switch ${id} does not exist`, { field: "id" });
      return { switch: found.value };
    },

    list: ({ query }) => ({ switches: state.list(kinds.switch, (s) => matchesSwitch(s, query)).map((s) => s.value) }),
  };
}
