// What the agent serves of metalstack.api.v2, from its ledger and within its budgets, whether or not central can be reached.
import type { ConnectRouter, HandlerContext, Interceptor } from "@connectrpc/connect";
import { IPService } from "#gen/metalstack/api/v2/ip_pb.ts";
import { MachineService } from "#gen/metalstack/api/v2/machine_pb.ts";
import { NetworkService } from "#gen/metalstack/api/v2/network_pb.ts";
import type { Random } from "#lib/random.ts";
import { refusals } from "#lib/rpc/refusal-to-connect.ts";
import { validation } from "#lib/rpc/validation.ts";
import type { Site } from "../boot/site.ts";
import type { Budgets } from "../budget/budgets.ts";
import type { Act, AuditTrail } from "../site/audit.ts";
import { refusedActs, actOf as siteActOf } from "../site/refused-acts.ts";
import { peopleAccess, userOf } from "./caller.ts";
import { ipService } from "./ip-service.ts";
import { machineService } from "./machine-service.ts";
import { networkService } from "./network-service.ts";
import { keysRefused } from "./once.ts";
import type { People } from "./people.ts";
import { uniqueNamesRefused } from "./unique-name.ts";

export interface ForPeople {
  readonly site: Site;
  readonly budgets: Budgets;
  readonly people: People;
  readonly audit: AuditTrail;
  readonly random: Random;
}

/** Whose requests are checked. */
export const peopleServices = [MachineService, IPService, NetworkService] as const;

export const peopleRoutes =
  (on: ForPeople) =>
  (router: ConnectRouter): void => {
    router.service(MachineService, machineService(on));
    router.service(IPService, ipService(on));
    router.service(NetworkService, networkService(on));
  };

/** Outermost first. @param validate of `peopleServices`; to compile their rules takes longer than a call */
export const peopleInterceptors = (
  { site, people, audit, random }: ForPeople,
  validate: Interceptor = validation(peopleServices),
): readonly Interceptor[] => [
  refusals({ random, log: site.log }),
  refusedActs({ audit, random, userOf }),
  peopleAccess(people, site.clock),
  validate,
  keysRefused,
  uniqueNamesRefused,
];

/** @param body what of the request may be written down */
export const actOf = ({ random }: ForPeople, context: HandlerContext, body: Record<string, string>): Act =>
  siteActOf({ random, userOf }, context, body);
