// metalstack.api.v2.MachineService: machines as the members of a project see and change them.
import { create } from "@bufbuild/protobuf";
import type { ServiceImpl } from "@connectrpc/connect";
import { checkSshKeys } from "#domain/machine/create.ts";
import { systemTags } from "#domain/machine/tags.ts";
import { checkLock, touched } from "#domain/meta.ts";
import { releaseTaskId } from "#domain/task/machine-tasks.ts";
import type { MachineDesired } from "#gen/holdfast/state/v1/machine_pb.ts";
import { AdminRole, LabelsSchema, type Meta, MetaSchema, type UpdateLabels } from "#gen/metalstack/api/v2/common_pb.ts";
import {
  type Machine,
  MachineAllocationQuerySchema,
  MachineQuerySchema,
  type MachineService,
  type MachineServiceUpdateRequest,
} from "#gen/metalstack/api/v2/machine_pb.ts";
import { copyOf } from "#lib/message.ts";
import { Refusal } from "#lib/refusal.ts";
import { asksUniqueName } from "#lib/rpc/unique-name.ts";
import { callerOf } from "../access/caller.ts";
import { causeOf } from "../history/cause.ts";
import { keepAnswer } from "../idempotency/kept-answers.ts";
import { kinds } from "../store/kinds.ts";
import { bmcDetails } from "./bmc-details.ts";
import { creator } from "./creator.ts";
import { machineIndexes } from "./indexes.ts";
import { giveOrder } from "./order.ts";
import type { MachinePorts } from "./ports.ts";
import { release } from "./release.ts";
import { apiMachine, viewOf, viewsMatching } from "./views.ts";

export function machineService(ports: MachinePorts): ServiceImpl<typeof MachineService> {
  const { state, clock, random } = ports;
  const indexes = machineIndexes(state);
  const createMachine = creator(ports);
  const ofProject = (uuid: string, project: string) => {
    const view = viewOf(state, uuid);
    if (view?.desired.allocation?.project === project) return view;
    throw new Refusal("not-found", `machine ${uuid} does not exist in project ${project}`, { field: "uuid" });
  };
  const show = (uuid: string): Machine => apiMachine(state, viewOf(state, uuid)!);

  return {
    get: ({ uuid, project }) => ({ machine: apiMachine(state, ofProject(uuid, project)) }),

    list({ project, query }) {
      if ((query?.allocation?.project ?? project) !== project) return { machines: [] };
      const allocation = { ...(query?.allocation ?? create(MachineAllocationQuerySchema)), project };
      const mine = viewsMatching(state, { ...(query ?? create(MachineQuerySchema)), allocation });
      return { machines: mine.map((m) => apiMachine(state, m)) };
    },

    async create(request, context) {
      const caller = callerOf(context);
      if (request.uuid !== undefined && caller.rights.adminRole !== AdminRole.EDITOR) {
        throw new Refusal("denied", "only administrators may name the machine that they get", { field: "uuid" });
      }
      const made = await createMachine(request, {
        cause: causeOf(context),
        isNameUnique: asksUniqueName(context.requestHeader),
        keep(tx, desired) {
          const observed = tx.get(kinds.machineObserved, desired.uuid);
          keepAnswer(context, tx, { machine: apiMachine(state, { desired, observed }) });
        },
      });
      return { machine: show(made.uuid) };
    },

    async update(request, context) {
      await state.transact((tx) => {
        const desired = tx.get(kinds.machineDesired, request.uuid);
        if (desired?.allocation?.project !== request.project) {
          throw new Refusal("not-found", `machine ${request.uuid} does not exist in project ${request.project}`, {
            field: "uuid",
          });
        }
        tx.put(kinds.machineDesired, request.uuid, updated(desired, request, clock.wallMs()));
      }, causeOf(context));
      return { machine: show(request.uuid) };
    },

    async delete({ uuid, project }, context) {
      const before = apiMachine(state, ofProject(uuid, project));
      const { result } = await state.transact(
        (tx) => release(tx, indexes, { uuid, project, nowMs: clock.wallMs() }),
        causeOf(context),
      );
      const meta = { ...(before.meta ?? create(MetaSchema)), deletionTaskId: releaseTaskId(uuid, result.epoch) };
      return { machine: { ...before, meta } };
    },

    async bMCCommand({ uuid, project, command }, context) {
      const { user } = callerOf(context);
      const order = { uuid, project, command, user, id: random.uuid(), nowMs: clock.wallMs() };
      await state.transact((tx) => giveOrder(tx, viewOf(state, uuid)?.observed, order), causeOf(context));
      return {};
    },

    getBMC: ({ uuid, project }) => ({ bmcDetails: bmcDetails(ofProject(uuid, project)) }),
  };
}

function updated(desired: MachineDesired, request: MachineServiceUpdateRequest, nowMs: number): MachineDesired {
  const next = copyOf(desired);
  const { allocation } = next;
  if (!allocation) return next;
  checkLock(`machine ${request.uuid}`, allocation.meta, request.updateMeta);
  checkSshKeys(request.sshPublicKeys);
  checkLabels(request.labels);
  if (request.description !== undefined) allocation.description = request.description;
  if (request.sshPublicKeys.length > 0) allocation.sshPublicKeys = [...request.sshPublicKeys];
  allocation.meta = withSystemTagsOf(desired.allocation?.meta, touched(allocation.meta, nowMs, request.labels));
  next.meta = touched(next.meta, nowMs);
  return next;
}

/** Our own labels are not for callers to write. All labels at once may carry them along: callers send back what they got. */
function checkLabels(change: UpdateLabels | undefined): void {
  if (change?.strategy.case !== "patch") return;
  const { update, remove } = change.strategy.value;
  const ours = [...Object.keys(update?.labels ?? {}), ...remove].find((key) => systemTags.includes(key));
  if (ours === undefined) return;
  throw new Refusal("invalid", `label ${ours} cannot be set or removed by hand`, { field: "labels" });
}

function withSystemTagsOf(before: Meta | undefined, meta: Meta): Meta {
  const isOurs = ([key]: [string, string]) => systemTags.includes(key);
  const ours = Object.entries(before?.labels?.labels ?? {}).filter(isOurs);
  const theirs = Object.entries(meta.labels?.labels ?? {}).filter((label) => !isOurs(label));
  return { ...meta, labels: create(LabelsSchema, { labels: Object.fromEntries([...theirs, ...ours]) }) };
}
