// metalstack.admin.v2.MachineService: machines as the operators see and change them.
import { create } from "@bufbuild/protobuf";
import { durationMs } from "@bufbuild/protobuf/wkt";
import type { ServiceImpl } from "@connectrpc/connect";
import { issueContext, issuesOf } from "#domain/machine/issues/issues.ts";
import { matchesMachine } from "#domain/machine/query.ts";
import type { MachineService } from "#gen/metalstack/admin/v2/machine_pb.ts";
import { type MachineIssue, type MachineIssuesQuery, MachineQuerySchema } from "#gen/metalstack/api/v2/machine_pb.ts";
import { Refusal } from "#lib/refusal.ts";
import { callerOf } from "../access/caller.ts";
import { causeOf } from "../history/cause.ts";
import { kinds } from "../store/kinds.ts";
import { bmcDetails } from "./bmc-details.ts";
import { consolePasswordOf } from "./console-password.ts";
import { forget } from "./forget.ts";
import { giveOrder } from "./order.ts";
import type { MachinePorts } from "./ports.ts";
import { inState } from "./set-state.ts";
import { apiMachine, viewOf, viewsMatching, viewsOf } from "./views.ts";

export function adminMachineService(ports: MachinePorts): ServiceImpl<typeof MachineService> {
  const { state, clock, random } = ports;
  const known = (uuid: string) => {
    const view = viewOf(state, uuid);
    if (view) return view;
    throw new Refusal("not-found", `machine ${uuid} does not exist`, { field: "uuid" });
  };

  return {
    get: ({ uuid }) => ({ machine: apiMachine(state, known(uuid)) }),

    list({ query, partition }) {
      if (partition !== undefined && (query?.partition ?? partition) !== partition) return { machines: [] };
      const inPartition = partition === undefined ? query : { ...(query ?? create(MachineQuerySchema)), partition };
      return { machines: viewsMatching(state, inPartition).map((m) => apiMachine(state, m)) };
    },

    async delete({ uuid }, context) {
      const before = apiMachine(state, known(uuid));
      await forget(state, uuid, "if isolated", causeOf(context));
      return { machine: before };
    },

    async bMCCommand({ uuid, command }, context) {
      const { user } = callerOf(context);
      const order = { uuid, project: undefined, command, user, id: random.uuid(), nowMs: clock.wallMs() };
      await state.transact((tx) => giveOrder(tx, viewOf(state, uuid)?.observed, order), causeOf(context));
      return {};
    },

    getBMC: ({ uuid }) => ({ bmcDetails: bmcDetails(known(uuid)) }),

    listBMC: ({ query }) => ({
      bmcDetails: viewsMatching(state, query).map(bmcDetails),
    }),

    consolePassword: ({ uuid }) => ({ uuid, password: consolePasswordOf(state, uuid) }),

    async setState({ uuid, state: wanted, description }, context) {
      const { user } = callerOf(context);
      await state.transact((tx) => {
        const desired = tx.get(kinds.machineDesired, uuid);
        if (!desired) throw new Refusal("not-found", `machine ${uuid} does not exist`, { field: "uuid" });
        const next = inState(desired, { state: wanted, description, issuer: user, nowMs: clock.wallMs() });
        if (next !== desired) tx.put(kinds.machineDesired, uuid, next);
      }, causeOf(context));
      return { machine: apiMachine(state, known(uuid)) };
    },

    issues({ query }) {
      const machines = viewsOf(state);
      const threshold = query?.lastErrorThreshold;
      const context = issueContext(machines, clock.wallMs(), threshold && durationMs(threshold));
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
