import { auditServices } from "./audit/service.ts";
import type { ServicePorts } from "./catalog/ports.ts";
import { componentServices } from "./component/service.ts";
import { filesystemServices } from "./filesystem/service.ts";
import { type HealthFacts, healthService } from "./health/service.ts";
import type { Identity } from "./identity/identity.ts";
import { tokenServices } from "./identity/service.ts";
import { imageServices } from "./image/service.ts";
import { ipServices } from "./ip/service.ts";
import { methodService } from "./method/service.ts";
import { networkServices } from "./network/service.ts";
import { partitionServices } from "./partition/service.ts";
import { projectServices } from "./project/service.ts";
import { quotaService } from "./quota/service.ts";
import type { Implementation } from "./services.ts";
import { sizeServices } from "./size/service.ts";
import { sizeImageConstraintServices } from "./size-image-constraint/service.ts";
import { sizeReservationServices } from "./size-reservation/service.ts";
import { taskService } from "./task/service.ts";
import { tenantServices } from "./tenant/service.ts";
import { userService } from "./user/service.ts";
import { type VersionFacts, versionService } from "./version/service.ts";
import { vpnService } from "./vpn/service.ts";

/** All services that are about what central stores, not about what machines do. */
export const catalogServices = (
  ports: ServicePorts & {
    readonly identity: Identity;
    readonly provider: string;
    readonly version: VersionFacts;
    readonly health: HealthFacts;
  },
): Implementation[] => [
  versionService(ports.version),
  healthService(ports.health),
  methodService(ports.state),
  userService(ports.state),
  ...tokenServices(ports),
  ...tenantServices(ports),
  ...projectServices(ports),
  quotaService(ports),
  ...partitionServices(ports),
  ...sizeServices(ports),
  ...sizeImageConstraintServices(ports),
  ...sizeReservationServices(ports),
  ...imageServices(ports),
  ...filesystemServices(ports),
  ...networkServices(ports),
  ...ipServices(ports),
  ...componentServices(ports),
  ...auditServices(ports),
  taskService(ports),
  vpnService(),
];
