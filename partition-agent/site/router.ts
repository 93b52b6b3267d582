import type { ConnectRouter, Interceptor } from "@connectrpc/connect";
import { SiteService } from "#gen/holdfast/site/v1/site_pb.ts";
import { refusals } from "#lib/rpc/refusal-to-connect.ts";
import { validation } from "#lib/rpc/validation.ts";
import { userOf } from "./caller.ts";
import { refusedActs } from "./refused-acts.ts";
import { type OnSite, siteService } from "./service.ts";

// Once for both ways in: compiling the rules takes longer than a call.
const checkedRequests: Interceptor = validation([SiteService]);

/** What people on site may call. */
export const onSiteRoutes =
  (on: OnSite) =>
  (router: ConnectRouter): void => {
    router.service(SiteService, siteService(on));
  };

/** Outermost first. @param access lets the caller in and says who it is */
export const onSiteInterceptors = ({ site, audit, random }: OnSite, access: Interceptor): readonly Interceptor[] => [
  refusals({ random, log: site.log }),
  refusedActs({ audit, random, userOf }),
  access,
  checkedRequests,
];
