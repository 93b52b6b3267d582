// metalstack.admin.v2.MachineService: machines as the operators see and change them.
import { clone, create } from "@bufbuild/protobuf";
import { durationMs } from "@bufbuild/protobuf/wkt";
import type { ServiceImpl } from "@connectrpc/connect";
import { issuesOf, lastErrorDefaultMs } from "#domain/machine/issues.ts";
import { matchesMachine } from "#domain/machine/query.ts";
import { touched } from "#domain/meta.ts";
import { type MachineDesired, MachineDesiredSchema } from "#gen/holdfast/state/v1/machine_pb.ts";
import type { MachineService, MachineServiceSetStateRequest } from "#gen/metalstack/admin/v2/machine_pb.ts";
import {
  MachineConditionSchema,
  type MachineIssue,
  type MachineIssuesQuery,
  MachineState,
} from "#gen/metalstack/api/v2/machine_pb.ts";
import { Refusal } from "#lib/refusal.ts";
import { callerOf } from "../access/caller.ts";
import { kinds } from "../store/kinds.ts";
import { bmcDetails } from "./bmc-details.ts";
import { giveOrder } from "./order.ts";
import type { MachinePorts } from "./ports.ts";
import { release } from "./release.ts";
import { apiMachine, viewOf, viewsOf } from "./views.ts";

export function adminMachineService(ports: MachinePorts): Partial<ServiceImpl<typeof MachineService>> {
  const { state, clock, random } = ports;
  const known = (uuid: string) => {
    const view = viewOf(state, uuid);
    if (view) return view;
    throw new Refusal("not-found", `machine ${uuid} does not exist`, { field: "uuid" });
  };

  return {
    get: ({ uuid }) => ({ machine: apiMachine(state, known(uuid)) }),

    list({ query, partition }) {
      const views = viewsOf(state).filter(
        (m) => (partition === undefined || m.desired.partition === partition) && matchesMachine(m, query),
      );
      return { machines: views.map((m) => apiMachine(state, m)) };
    },

    async delete({ uuid }) {
      const before = apiMachine(state, known(uuid));
      await state.transact((tx) => release(tx, uuid, undefined, clock.wallMs()));
      return { machine: before };
    },

    async bMCCommand({ uuid, command }, context) {
      const { user } = callerOf(context);
      const order = { uuid, project: undefined, command, user, id: random.uuid(), nowMs: clock.wallMs() };
      await state.transact((tx) => giveOrder(tx, viewOf(state, uuid)?.observed, order));
      return {};
    },

    getBMC: ({ uuid }) => ({ bmcDetails: bmcDetails(known(uuid)) }),

    listBMC: ({ query }) => ({
      bmcDetails: viewsOf(state)
        .filter((m) => matchesMachine(m, query))
        .map(bmcDetails),
    }),

    async setState(request, context) {
      const { user } = callerOf(context);
      await state.transact((tx) => {
        const desired = tx.get(kinds.machineDesired, request.uuid);
        if (!desired) throw new Refusal("not-found", `machine ${request.uuid} does not exist`, { field: "uuid" });
        tx.put(kinds.machineDesired, request.uuid, inState(desired, request, user, clock.wallMs()));
      });
      return { machine: apiMachine(state, known(request.uuid)) };
    },

    issues({ query }) {
      const machines = viewsOf(state);
      const threshold = query?.lastErrorThreshold;
      const context = {
        machines,
        nowMs: clock.wallMs(),
        lastErrorMs: threshold ? durationMs(threshold) : lastErrorDefaultMs,
      };
      const found = machines
        .filter((m) => matchesMachine(m, query?.machineQuery))
        .map((m) => ({ uuid: m.desired.uuid, issues: issuesOf(m, context).filter((i) => isWanted(i, query)) }));
      return { issues: found.filter((f) => f.issues.length > 0) };
    },
  };
}

const isWanted = (issue: MachineIssue, query: MachineIssuesQuery | undefined): boolean =>
  !query ||
  ((query.only.length === 0 || query.only.includes(issue.type)) &&
    !query.omit.includes(issue.type) &&
    (query.severity === undefined || issue.severity >= query.severity));

/** Between two states other than AVAILABLE there is no direct way, so that nobody overwrites another's reason. */
function inState(
  desired: MachineDesired,
  { state, description, uuid }: MachineServiceSetStateRequest,
  issuer: string,
  nowMs: number,
): MachineDesired {
  const now = desired.condition?.state ?? MachineState.AVAILABLE;
  if (state === MachineState.UNSPECIFIED)
    throw new Refusal("invalid", "a state is wanted: available, tainted or locked", { field: "state" });
  if (state === MachineState.AVAILABLE && description !== "") {
    throw new Refusal("invalid", "the state available takes no description", { field: "description" });
  }
  if (now !== MachineState.AVAILABLE && state !== MachineState.AVAILABLE && now !== state) {
    throw new Refusal(
      "precondition",
      `machine ${uuid} is ${desired.condition?.description || "not available"}: make it available first`,
    );
  }
  const next = clone(MachineDesiredSchema, desired);
  next.condition = create(MachineConditionSchema, {
    state,
    description,
    issuer: state === MachineState.AVAILABLE ? "" : issuer,
  });
  next.meta = touched(desired.meta, nowMs);
  return next;
}
