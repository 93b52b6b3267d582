// holdfast.api.v1.MachineService: why a machine is where it is, and every change as it comes.
import { create } from "@bufbuild/protobuf";
import type { HandlerContext, ServiceImpl } from "@connectrpc/connect";
import type { MachineView } from "#domain/machine/placement.ts";
import { reinstallProgress } from "#domain/machine/reinstall.ts";
import {
  ExplainResponseSchema,
  type MachineService,
  type WatchRequest,
  type WatchResponse,
  WatchResponseSchema,
} from "#gen/holdfast/api/v1/machine_pb.ts";
import type { BmcOrder, BmcOrderOutcome, Reinstall } from "#gen/holdfast/state/v1/machine_pb.ts";
import { MachineSchema } from "#gen/metalstack/api/v2/machine_pb.ts";
import { linkedSignal } from "#lib/linked-signal.ts";
import { Refusal } from "#lib/refusal.ts";
import { callerOf } from "../access/caller.ts";
import { causeOf } from "../history/cause.ts";
import type { Change } from "../store/cache.ts";
import { kinds } from "../store/kinds.ts";
import { isLinkUp } from "../sync/link-up.ts";
import { liveChanges } from "../sync/live-changes.ts";
import { forget } from "./forget.ts";
import type { MachinePorts } from "./ports.ts";
import { reclaim } from "./reclaim.ts";
import { abortReinstall, reinstall } from "./reinstall.ts";
import { apiMachine, viewOf, viewsOf } from "./views.ts";

export function holdfastMachineService(ports: MachinePorts): ServiceImpl<typeof MachineService> {
  const { state, clock } = ports;
  return {
    explain({ uuid, project }) {
      const view = viewOf(state, uuid);
      if (!view || (project !== "" && view.desired.allocation?.project !== project)) {
        throw new Refusal(
          "not-found",
          `machine ${uuid} does not exist${project === "" ? "" : ` in project ${project}`}`,
          { field: "uuid" },
        );
      }
      const { desired, observed } = view;
      const last = observed?.events?.events.at(-1);
      return create(ExplainResponseSchema, {
        ...(observed?.progress && { progress: observed.progress }),
        ...(last && { lastEvent: last.event }),
        ...(last?.time && { lastEventAt: last.time }),
        epoch: desired.epoch,
        installations: observed?.installedEpoch === desired.epoch ? observed.installations : 0,
        ...(observed?.port && { port: observed.port }),
        powerState: observed?.bmc?.powerState ?? "",
        lastFailure: observed?.lastFailure ?? "",
        ...actsOf(view, project),
        linkUp: isLinkUp(state, desired.partition),
        ...(desired.reinstall && { reinstall: shownTo(project, desired.reinstall) }),
        ...(desired.reinstall && { reinstallProgress: reinstallProgress(desired, observed) }),
      });
    },

    async reclaim({ uuid }, context) {
      const { result } = await state.transact((tx) => reclaim(tx, uuid, clock.wallMs()), causeOf(context));
      return { epoch: result.epoch };
    },

    async forget({ uuid, force }, context) {
      const before = viewOf(state, uuid);
      await forget(state, uuid, force ? "by force" : "if isolated", causeOf(context));
      return before ? { machine: apiMachine(state, before) } : {};
    },

    async reinstall({ uuid, project, image, dryRun }, context) {
      const { user } = callerOf(context);
      const wish = { uuid, project, image, user, nowMs: clock.wallMs() };
      const { result } = await state.transact((tx) => {
        const wanted = reinstall(tx, wish);
        if (!dryRun) tx.put(kinds.machineDesired, uuid, wanted.desired);
        return wanted;
      }, causeOf(context));
      const { desired, disks } = result;
      return {
        machine: apiMachine(state, { desired, observed: viewOf(state, uuid)?.observed }),
        number: desired.reinstall?.number ?? 0,
        overwrittenDisks: [...disks.overwritten],
        keptDisks: [...disks.kept],
      };
    },

    async abortReinstall({ uuid, project }, context) {
      const { result } = await state.transact(
        (tx) => abortReinstall(tx, { uuid, project, nowMs: clock.wallMs() }),
        causeOf(context),
      );
      return { machine: apiMachine(state, { desired: result, observed: viewOf(state, uuid)?.observed }) };
    },

    watch: (request, context) => watchMachines(ports, request, context),
  };
}

/** As for orders: a project does not see who gave it. */
const shownTo = (project: string, order: Reinstall): Reinstall =>
  project === "" ? order : { ...order, orderedBy: "" };

/** What was ordered and done: an administrator sees all, a project what is of its own allocation, and not who else ordered. */
function actsOf({ desired, observed }: MachineView, project: string) {
  const told = observed?.outcomes ?? [];
  const withdrawn = desired.withdrawn.filter(({ id }) => !told.some((outcome) => outcome.id === id));
  const all = { outcomes: [...withdrawn, ...told], effects: observed?.effects ?? [] };
  if (project === "") return all;
  const own = ({ order }: BmcOrderOutcome) => order?.epoch === desired.epoch;
  const unnamed = <T extends { readonly order?: BmcOrder | undefined }>(one: T) =>
    one.order ? { ...one, order: { ...one.order, issuedBy: "" } } : one;
  return {
    outcomes: all.outcomes.filter(own).map(unnamed),
    effects: all.effects.filter(({ epoch }) => epoch === desired.epoch).map(unnamed),
  };
}

async function* watchMachines(
  { state }: MachinePorts,
  { project, uuid }: WatchRequest,
  context: HandlerContext,
): AsyncGenerator<WatchResponse> {
  const inView = (m: MachineView) =>
    (project === "" || m.desired.allocation?.project === project) && (uuid === "" || m.desired.uuid === uuid);
  const own = linkedSignal(context.signal);
  const changes = liveChanges(state, own.signal);
  const shown = new Set<string>();
  const show = (view: MachineView): WatchResponse => {
    shown.add(view.desired.uuid);
    return create(WatchResponseSchema, {
      machine: apiMachine(state, view),
      ...(view.observed?.progress && { progress: view.observed.progress }),
    });
  };
  try {
    for (const view of viewsOf(state).filter(inView)) yield show(view);
    yield create(WatchResponseSchema, { initialDone: true });
    for await (const batch of changes) {
      for (const id of new Set(batch.changes.filter(isMachine).map((c) => c.id))) {
        const view = viewOf(state, id);
        if (view && inView(view)) yield show(view);
        else if (shown.delete(id)) {
          yield create(WatchResponseSchema, { machine: create(MachineSchema, { uuid: id }), deleted: true });
        }
      }
    }
  } finally {
    own.abort(new Error("the stream has ended"));
    own.unlink();
  }
}

const isMachine = ({ kind }: Change): boolean =>
  kind.name === kinds.machineDesired.name || kind.name === kinds.machineObserved.name;
