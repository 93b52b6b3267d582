import { create } from "@bufbuild/protobuf";
import type { ServiceImpl } from "@connectrpc/connect";
import { checkBudgetLabel } from "#domain/budget/items.ts";
import { checkMachineLabel } from "#domain/ip/machine-label.ts";
import { canonicalIp, ipFamily, ipMatches } from "#domain/ip/query.ts";
import { newMeta } from "#domain/meta.ts";
import { type LocalIp, LocalIpSchema } from "#gen/holdfast/state/v1/budget_pb.ts";
import {
  type IP,
  IPSchema,
  type IPService,
  type IPServiceCreateRequest,
  IPType,
} from "#gen/metalstack/api/v2/ip_pb.ts";
import { copyOf } from "#lib/message.ts";
import { Refusal } from "#lib/refusal.ts";
import { sometimes } from "#lib/sometimes.ts";
import { networkOf } from "../boot/site.ts";
import { checkTrust, outside } from "../budget/budgets.ts";
import { once } from "./once.ts";
import { actOf, type ForPeople } from "./router.ts";

type Served = Pick<ServiceImpl<typeof IPService>, "get" | "list" | "create" | "delete">;

/** Addresses that were given away here and that central has not adopted: of others the agent knows nothing. */
export function ipService(on: ForPeople): Served {
  const { site, audit, budgets } = on;
  const { locals } = site;
  const find = (ip: string, project: string): LocalIp & { ip: IP } => {
    const found = locals.ips().find((l) => !l.deleted && l.ip?.project === project && l.ip.ip === canonicalIp(ip));
    if (found?.ip) return { ...found, ip: found.ip };
    const text = `address ${ip} is not one that the agent gave away and central has not adopted: ask central for others`;
    throw new Refusal("not-found", text, { field: "ip", reason: "NOT_GIVEN_HERE" });
  };
  return {
    get: ({ ip, project }) => ({ ip: find(ip, project).ip }),

    list: ({ project, query }) => ({
      ips: locals
        .ips()
        .flatMap((l) => (l.ip?.project === project && !l.deleted && ipMatches(l.ip, query) ? [l.ip] : [])),
    }),

    create(request, context) {
      const { project, network } = request;
      return once(on, request, context, (keep) =>
        audit.acting(actOf(on, context, { project, network }), () =>
          budgets.inTurn(async () => {
            checkTrust(site);
            const { ip, budget } = takenIp(on, request);
            const answer = keep({ ip });
            await locals.putIp(create(LocalIpSchema, { budget, ip, ...(answer && { answer }) }));
            sometimes(site.log, "a partition gave an address away by itself");
            return { ip };
          }),
        ),
      );
    },

    delete({ ip, project }, context) {
      return audit.acting(actOf(on, context, { ip, project }), () =>
        budgets.inTurn(async () => {
          checkTrust(site);
          const found = find(ip, project);
          const next = copyOf(found);
          next.deleted = true;
          await locals.putIp(next);
          return { ip: found.ip };
        }),
      );
    },
  };
}

function takenIp(
  { site, budgets, random }: ForPeople,
  request: IPServiceCreateRequest,
): { readonly ip: IP; readonly budget: string } {
  const { project, network, addressFamily, labels } = request;
  checkBudgetLabel(labels);
  checkMachineLabel(labels);
  const home = networkOf(site, network);
  if (!home || !budgets.hasAddresses(network, project))
    throw outside(`an address of network ${network}`, "no budget has any", "network");
  if (request.machine !== undefined)
    throw outside("an address for a certain machine", "leave the machine out", "machine");
  if (request.ip !== undefined) throw outside("a certain address", "leave it out: a free one is taken", "ip");
  const isWanted = (free: { readonly ip: string }) => addressFamily === undefined || ipFamily(free) === addressFamily;
  const found = budgets.freeIn(network, project).find(isWanted);
  if (!found) throw outside("another address", `all of network ${network} that were delegated are used`, "network");
  const { ip, budget } = found;
  const row = create(IPSchema, {
    ...{ uuid: random.uuid(), ip, network, project, type: request.type || IPType.IP_TYPE_EPHEMERAL },
    ...{ name: request.name ?? "", description: request.description ?? "" },
    meta: newMeta(labels, site.clock.wallMs()),
    ...(home.namespace !== undefined && { namespace: home.namespace }),
  });
  return { ip: row, budget };
}
