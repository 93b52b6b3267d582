// metalstack.infra.v2.SwitchService for partitions without an agent: the daemons on their switches ask central.
import { create } from "@bufbuild/protobuf";
import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import type { ServiceImpl } from "@connectrpc/connect";
import { configured, type Surroundings } from "#domain/switch/configured.ts";
import {
  NicStateSchema,
  type Switch,
  SwitchNicSchema,
  SwitchSchema,
  SwitchSyncSchema,
} from "#gen/metalstack/api/v2/switch_pb.ts";
import type { SwitchService, SwitchServiceHeartbeatRequest } from "#gen/metalstack/infra/v2/switch_pb.ts";
import type { Log } from "#lib/log.ts";
import { copyOf } from "#lib/message.ts";
import { Refusal } from "#lib/refusal.ts";
import { checkNoAgent } from "../boot/observe.ts";
import { causeOf } from "../history/cause.ts";
import { ipIndexes } from "../ip/indexes.ts";
import { viewOf } from "../machine/views.ts";
import { kinds } from "../store/kinds.ts";
import type { State } from "../store/state.ts";
import type { SwitchPorts } from "./admin-service.ts";
import { registerSwitch } from "./register.ts";
import { switchOf, unknownSwitch } from "./views.ts";

/** Longest reason that is kept of a failed configuration. */
const errorMax = 1024;

export function infraSwitchService({
  state,
  clock,
  log,
}: SwitchPorts & { readonly log: Log }): ServiceImpl<typeof SwitchService> {
  const around = surroundings(state);
  const withConfiguration = (id: string): Switch => {
    const s = switchOf(state, id) ?? unknownSwitch(id);
    checkNoAgent(state, s.partition);
    return create(SwitchSchema, { ...s, nics: configured(s, around) });
  };

  return {
    get: ({ id }) => ({ switch: withConfiguration(id) }),

    async register({ switch: seen }, context) {
      if (!seen) throw new Refusal("invalid", "a switch is wanted", { field: "switch" });
      await state.transact((tx) => registerSwitch(tx, seen, clock.wallMs()), causeOf(context));
      log.info("switch-registered", { switch: seen.id, partition: seen.partition, ports: seen.nics.length });
      return { switch: withConfiguration(seen.id) };
    },

    async heartbeat(request) {
      const { result } = await state.transact((tx) => {
        const stored = tx.get(kinds.switch, request.id) ?? unknownSwitch(request.id);
        checkNoAgent(tx, stored.partition);
        const next = heard(stored, request, clock.wallMs());
        tx.put(kinds.switch, request.id, next);
        return next;
      });
      const { id, lastSync, lastSyncError } = result;
      return { id, ...(lastSync && { lastSync }), ...(lastSyncError && { lastSyncError }) };
    },
  };
}

function surroundings(state: State): Surroundings {
  const { byProject } = ipIndexes(state);
  return {
    machine: (uuid) => viewOf(state, uuid),
    network: (id) => state.get(kinds.network, id)?.value,
    ipsOf: (project) => state.by(byProject, project).map((row) => row.value),
  };
}

/** What the daemon says of its latest configuration. Ports that the switch does not have are left out. */
function heard(stored: Switch, request: SwitchServiceHeartbeatRequest, nowMs: number): Switch {
  const { duration, error, portStates, bgpPortStates } = request;
  const next = copyOf(stored);
  const sync = create(SwitchSyncSchema, {
    time: timestampFromMs(nowMs),
    ...(duration && { duration }),
    ...(error !== undefined && { error: error.slice(0, errorMax) }),
  });
  if (error === undefined) next.lastSync = sync;
  else next.lastSyncError = sync;
  next.nics = next.nics.map((nic) => {
    const actual = portStates[nic.name];
    const bgpPortState = bgpPortStates[nic.name];
    return create(SwitchNicSchema, {
      ...nic,
      ...(actual !== undefined && { state: create(NicStateSchema, { actual }) }),
      ...(bgpPortState && { bgpPortState }),
    });
  });
  return next;
}
