// Which calls can be planned: each has a field of its request in PlanServicePlanRequest.
import type { DescMethod } from "@bufbuild/protobuf";
import type { PlanServicePlanRequest } from "#gen/holdfast/api/v1/plan_pb.ts";
import { NetworkService as AdminNetworkService } from "#gen/metalstack/admin/v2/network_pb.ts";
import { SwitchService as AdminSwitchService } from "#gen/metalstack/admin/v2/switch_pb.ts";
import { MachineService } from "#gen/metalstack/api/v2/machine_pb.ts";
import { NetworkService } from "#gen/metalstack/api/v2/network_pb.ts";

type Case = NonNullable<PlanServicePlanRequest["call"]["case"]>;

export const plannable: Readonly<Record<Case, DescMethod>> = {
  createMachine: MachineService.method.create,
  deleteMachine: MachineService.method.delete,
  deleteNetwork: NetworkService.method.delete,
  deleteAnyNetwork: AdminNetworkService.method.delete,
  migrateSwitch: AdminSwitchService.method.migrate,
};

export const isPlannable = (method: DescMethod): boolean => Object.values(plannable).includes(method);
