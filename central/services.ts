// Every service that central serves. RPCs that nobody has implemented yet answer Unimplemented.
import type { DescMethod, DescService } from "@bufbuild/protobuf";
import type { ConnectRouter, HandlerContext, ServiceImpl } from "@connectrpc/connect";
import { BudgetService } from "#gen/holdfast/api/v1/budget_pb.ts";
import { HistoryService } from "#gen/holdfast/api/v1/history_pb.ts";
import { ListService } from "#gen/holdfast/api/v1/list_pb.ts";
import { MachineService as HoldfastMachineService } from "#gen/holdfast/api/v1/machine_pb.ts";
import { PartitionService as HoldfastPartitionService } from "#gen/holdfast/api/v1/partition_pb.ts";
import { PlanService } from "#gen/holdfast/api/v1/plan_pb.ts";
import { QuotaService } from "#gen/holdfast/api/v1/quota_pb.ts";
import { WatchService } from "#gen/holdfast/api/v1/watch_pb.ts";
import { JoinService } from "#gen/holdfast/join/v1/join_pb.ts";
import { SyncService } from "#gen/holdfast/sync/v1/sync_pb.ts";
import { AuditService as AdminAuditService } from "#gen/metalstack/admin/v2/audit_pb.ts";
import { ComponentService as AdminComponentService } from "#gen/metalstack/admin/v2/component_pb.ts";
import { FilesystemService as AdminFilesystemService } from "#gen/metalstack/admin/v2/filesystem_pb.ts";
import { ImageService as AdminImageService } from "#gen/metalstack/admin/v2/image_pb.ts";
import { IPService as AdminIPService } from "#gen/metalstack/admin/v2/ip_pb.ts";
import { MachineService as AdminMachineService } from "#gen/metalstack/admin/v2/machine_pb.ts";
import { NetworkService as AdminNetworkService } from "#gen/metalstack/admin/v2/network_pb.ts";
import { PartitionService as AdminPartitionService } from "#gen/metalstack/admin/v2/partition_pb.ts";
import { ProjectService as AdminProjectService } from "#gen/metalstack/admin/v2/project_pb.ts";
import { SizeImageConstraintService as AdminSizeImageConstraintService } from "#gen/metalstack/admin/v2/size_imageconstraint_pb.ts";
import { SizeService as AdminSizeService } from "#gen/metalstack/admin/v2/size_pb.ts";
import { SizeReservationService as AdminSizeReservationService } from "#gen/metalstack/admin/v2/size_reservation_pb.ts";
import { SwitchService as AdminSwitchService } from "#gen/metalstack/admin/v2/switch_pb.ts";
import { TaskService as AdminTaskService } from "#gen/metalstack/admin/v2/task_pb.ts";
import { TenantService as AdminTenantService } from "#gen/metalstack/admin/v2/tenant_pb.ts";
import { TokenService as AdminTokenService } from "#gen/metalstack/admin/v2/token_pb.ts";
import { VPNService as AdminVPNService } from "#gen/metalstack/admin/v2/vpn_pb.ts";
import { AuditService } from "#gen/metalstack/api/v2/audit_pb.ts";
import { FilesystemService } from "#gen/metalstack/api/v2/filesystem_pb.ts";
import { HealthService } from "#gen/metalstack/api/v2/health_pb.ts";
import { ImageService } from "#gen/metalstack/api/v2/image_pb.ts";
import { IPService } from "#gen/metalstack/api/v2/ip_pb.ts";
import { MachineService } from "#gen/metalstack/api/v2/machine_pb.ts";
import { MethodService } from "#gen/metalstack/api/v2/method_pb.ts";
import { NetworkService } from "#gen/metalstack/api/v2/network_pb.ts";
import { PartitionService } from "#gen/metalstack/api/v2/partition_pb.ts";
import { ProjectService } from "#gen/metalstack/api/v2/project_pb.ts";
import { SizeImageConstraintService } from "#gen/metalstack/api/v2/size_imageconstraint_pb.ts";
import { SizeService } from "#gen/metalstack/api/v2/size_pb.ts";
import { SizeReservationService } from "#gen/metalstack/api/v2/size_reservation_pb.ts";
import { TenantService } from "#gen/metalstack/api/v2/tenant_pb.ts";
import { TokenService } from "#gen/metalstack/api/v2/token_pb.ts";
import { UserService } from "#gen/metalstack/api/v2/user_pb.ts";
import { VersionService } from "#gen/metalstack/api/v2/version_pb.ts";
import { BMCService as InfraBMCService } from "#gen/metalstack/infra/v2/bmc_pb.ts";
import { BootService as InfraBootService } from "#gen/metalstack/infra/v2/boot_pb.ts";
import { ComponentService as InfraComponentService } from "#gen/metalstack/infra/v2/component_pb.ts";
import { EventService as InfraEventService } from "#gen/metalstack/infra/v2/event_pb.ts";
import { SwitchService as InfraSwitchService } from "#gen/metalstack/infra/v2/switch_pb.ts";
import { bug } from "#lib/bug.ts";

export const services: readonly DescService[] = [
  AuditService,
  FilesystemService,
  HealthService,
  ImageService,
  IPService,
  MachineService,
  MethodService,
  NetworkService,
  PartitionService,
  ProjectService,
  SizeImageConstraintService,
  SizeService,
  SizeReservationService,
  TenantService,
  TokenService,
  UserService,
  VersionService,
  AdminAuditService,
  AdminComponentService,
  AdminFilesystemService,
  AdminImageService,
  AdminIPService,
  AdminMachineService,
  AdminNetworkService,
  AdminPartitionService,
  AdminProjectService,
  AdminSizeImageConstraintService,
  AdminSizeService,
  AdminSizeReservationService,
  AdminSwitchService,
  AdminTaskService,
  AdminTenantService,
  AdminTokenService,
  AdminVPNService,
  InfraBMCService,
  InfraBootService,
  InfraComponentService,
  InfraEventService,
  InfraSwitchService,
  BudgetService,
  HoldfastMachineService,
  HoldfastPartitionService,
  HistoryService,
  QuotaService,
  ListService,
  PlanService,
  WatchService,
  JoinService,
  SyncService,
];

/** Handlers for some or all methods of one service. */
export interface Implementation {
  readonly service: DescService;
  readonly handlers: Readonly<Record<string, unknown>>;
}

export const implement = <S extends DescService>(service: S, handlers: Partial<ServiceImpl<S>>): Implementation => ({
  service,
  handlers: { ...handlers },
});

/** Of a method of any kind: the request or the requests in, the answer or the answers out. */
export type Handler = (request: unknown, context: HandlerContext) => unknown;

/** What goes around every handler, behind all interceptors. */
export type Around = (method: DescMethod, handler: Handler) => Handler;

/** Registers every service with the handlers that there are. Several implementations may share a service, but not a method. */
export function routes(
  implementations: readonly Implementation[],
  around: Around = (_, handler) => handler,
): (router: ConnectRouter) => void {
  const handlers = new Map(services.map((s): [DescService, Record<string, unknown>] => [s, {}]));
  for (const given of implementations) {
    const collected = handlers.get(given.service) ?? bug(`${given.service.typeName} is not a service of central`);
    for (const [name, handler] of Object.entries(given.handlers)) {
      if (name in collected) bug(`${given.service.typeName}.${name} is implemented twice`);
      const method = given.service.method[name] ?? bug(`${given.service.typeName} has no method ${name}`);
      collected[name] = around(method, handler as Handler); // checked by implement(), where the method's type was still known
    }
  }
  return (router) => {
    // Checked by implement(), where the service's type was still known.
    for (const [service, collected] of handlers)
      router.service(service, collected as Partial<ServiceImpl<DescService>>);
  };
}
