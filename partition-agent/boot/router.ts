import type { ConnectRouter } from "@connectrpc/connect";
import { InstallService } from "#gen/holdfast/install/v1/install_pb.ts";
import { BootService } from "#gen/metalstack/infra/v2/boot_pb.ts";
import { EventService } from "#gen/metalstack/infra/v2/event_pb.ts";
import type { BootFiles } from "./boot-files.ts";
import { bootService } from "./boot-service.ts";
import { eventService } from "./event-service.ts";
import { installService } from "./install-service.ts";
import type { Site } from "./site.ts";

/** Services of the agent that requests are validated for. */
export const siteServices = [BootService, EventService, InstallService] as const;

/** What installers in the partition may call. */
export const siteRoutes =
  (site: Site, files: BootFiles) =>
  (router: ConnectRouter): void => {
    router.service(BootService, bootService(site, files));
    router.service(EventService, eventService(site));
    router.service(InstallService, installService(site, files));
  };
