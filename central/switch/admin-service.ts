// metalstack.admin.v2.SwitchService: the switches that agents or their own daemons report, and what people want of them.
import { create } from "@bufbuild/protobuf";
import type { HandlerContext, ServiceImpl } from "@connectrpc/connect";
import { matchesMachine } from "#domain/machine/query.ts";
import { checkLock, touched } from "#domain/meta.ts";
import { vendorOf } from "#domain/switch/cabling.ts";
import { matchesSwitch } from "#domain/switch/query.ts";
import { isStatusToWant, wantedPorts } from "#domain/switch/wanted-ports.ts";
import type { SwitchDesired } from "#gen/holdfast/state/v1/switch_pb.ts";
import type { SwitchService, SwitchServiceUpdateRequest } from "#gen/metalstack/admin/v2/switch_pb.ts";
import type { MachineQuery } from "#gen/metalstack/api/v2/machine_pb.ts";
import {
  type Switch,
  SwitchNicWithMachineSchema,
  SwitchReplaceMode,
  type SwitchWithMachines,
  SwitchWithMachinesSchema,
} from "#gen/metalstack/api/v2/switch_pb.ts";
import type { Clock } from "#lib/clock.ts";
import { copyOf } from "#lib/message.ts";
import { Refusal } from "#lib/refusal.ts";
import { causeOf } from "../history/cause.ts";
import { apiMachine, viewOf } from "../machine/views.ts";
import { kinds } from "../store/kinds.ts";
import type { State } from "../store/state.ts";
import { migrate } from "./migrate.ts";
import { isReplaced, type SwitchView, switchesOf, switchOf, switchView, unknownSwitch } from "./views.ts";

export interface SwitchPorts {
  readonly state: State;
  readonly clock: Clock;
}

export function adminSwitchService({ state, clock }: SwitchPorts): ServiceImpl<typeof SwitchService> {
  const known = (id: string) => switchOf(state, id) ?? unknownSwitch(id);
  /** @param work on a draft of what is wanted, which it changes in place */
  const change = async (
    context: HandlerContext,
    id: string,
    work: (draft: SwitchDesired, view: SwitchView) => void,
  ) => {
    await state.transact((tx) => {
      const nowMs = clock.wallMs();
      const view = switchView(tx, id, nowMs);
      const draft = copyOf(view.desired);
      work(draft, view);
      draft.meta = touched(draft.meta, nowMs);
      tx.put(kinds.switchDesired, id, draft);
    }, causeOf(context));
    return { switch: known(id) };
  };

  return {
    get: ({ id }) => ({ switch: known(id) }),

    list: ({ query }) => ({ switches: switchesOf(state).filter((s) => matchesSwitch(s, query)) }),

    update: (request, context) =>
      change(context, request.id, (draft, view) => {
        checkLock(`switch ${request.id}`, view.desired.meta, request.updateMeta);
        apply(draft, view.observed, request);
      }),

    async delete({ id, force }, context) {
      const before = known(id);
      await state.transact((tx) => {
        const { machineConnections } = tx.get(kinds.switch, id) ?? unknownSwitch(id);
        if (machineConnections.length > 0 && !force) throw connected(id, machineConnections.length);
        tx.delete(kinds.switch, id);
        tx.delete(kinds.switchDesired, id);
      }, causeOf(context));
      return { switch: before };
    },

    async migrate({ oldSwitch, newSwitch }, context) {
      await state.transact(
        (tx) => migrate(tx, { from: oldSwitch, to: newSwitch, nowMs: clock.wallMs() }),
        causeOf(context),
      );
      return { switch: known(newSwitch) };
    },

    port: ({ id, nicName, status }, context) =>
      change(context, id, (draft, { observed }) => {
        if (!isStatusToWant(status)) {
          throw new Refusal("invalid", `port ${nicName}: only UP or DOWN can be asked for`, { field: "status" });
        }
        if (!observed.nics.some((nic) => nic.name === nicName)) {
          throw new Refusal("not-found", `switch ${id} has no port ${nicName}`, { field: "nic_name" });
        }
        draft.ports[nicName] = status;
      }),

    connectedMachines: ({ query, machineQuery }) => ({
      switchesWithMachines: switchesOf(state)
        .filter((s) => matchesSwitch(s, query))
        .map((s) => withMachines(state, s, machineQuery)),
    }),
  };
}

const connected = (id: string, count: number): Refusal =>
  new Refusal("precondition", `switch ${id} has ${count} machines at its ports: migrate them, or delete by force`, {
    reason: "MACHINES_CONNECTED",
  });

function apply(draft: SwitchDesired, observed: Switch, request: SwitchServiceUpdateRequest): void {
  const { id, description, replaceMode, managementIp, managementUser, consoleCommand, nics, os } = request;
  if (description !== undefined) draft.description = description;
  if (replaceMode !== undefined && replaceMode !== SwitchReplaceMode.UNSPECIFIED) draft.replaceMode = replaceMode;
  if (managementIp !== undefined) draft.managementIp = managementIp;
  if (managementUser !== undefined) draft.managementUser = managementUser;
  if (consoleCommand !== undefined) draft.consoleCommand = consoleCommand;
  if (nics.length > 0) Object.assign(draft.ports, wantedPorts(id, observed.nics, nics));
  if (os === undefined) return;
  if (os.vendor !== vendorOf({ ...observed, ...(draft.os && { os: draft.os }) }) && !isReplaced(draft)) {
    const text = `switch ${id}: another vendor is only for one that is being replaced: set replace_mode to REPLACE`;
    throw new Refusal("precondition", text, { reason: "NOT_REPLACED", field: "os.vendor" });
  }
  draft.os = os;
}

/** Ports with a machine; with a query, only those whose machine it is for. */
function withMachines(state: State, s: Switch, query: MachineQuery | undefined): SwitchWithMachines {
  const connections = s.machineConnections.flatMap(({ machineId, nic }) => {
    const view = viewOf(state, machineId);
    if (query && !(view && matchesMachine(view, query))) return [];
    const fru = view?.observed?.fru;
    const machine = view && apiMachine(state, view);
    return [
      create(SwitchNicWithMachineSchema, { ...(nic && { nic }), ...(machine && { machine }), ...(fru && { fru }) }),
    ];
  });
  return create(SwitchWithMachinesSchema, { id: s.id, partition: s.partition, rack: s.rack ?? "", connections });
}
