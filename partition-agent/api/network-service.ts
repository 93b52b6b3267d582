import { create } from "@bufbuild/protobuf";
import type { ServiceImpl } from "@connectrpc/connect";
import { budgetOf, checkBudgetLabel } from "#domain/budget/items.ts";
import { newMeta } from "#domain/meta.ts";
import { familyOf, networkMatches } from "#domain/network/query.ts";
import { knownPrefixes } from "#domain/network/rules.ts";
import { type LocalNetwork, LocalNetworkSchema } from "#gen/holdfast/state/v1/budget_pb.ts";
import {
  type ChildPrefixLength,
  type Network,
  NetworkSchema,
  type NetworkService,
  type NetworkServiceCreateRequest,
} from "#gen/metalstack/api/v2/network_pb.ts";
import { copyOf } from "#lib/message.ts";
import { Refusal } from "#lib/refusal.ts";
import { sometimes } from "#lib/sometimes.ts";
import { networkOf, networksOf, type Site } from "../boot/site.ts";
import { checkTrust, outside } from "../budget/budgets.ts";
import { once } from "./once.ts";
import { actOf, type ForPeople } from "./router.ts";

type Served = Pick<ServiceImpl<typeof NetworkService>, "get" | "list" | "create" | "delete">;

/** A project's networks, as far as they are of this partition or of none. How much of them is in use, the agent does not know. */
export function networkService(on: ForPeople): Served {
  const { site, audit, budgets } = on;
  const { locals, log } = site;
  return {
    get: ({ id, project }) => ({ network: own(site, id, project) }),

    list: ({ project, query }) => ({
      networks: networksOf(site, project).filter((network) => networkMatches(network, query)),
    }),

    create(request, context) {
      const { project, name = "" } = request;
      return once(on, request, context, (keep) =>
        audit.acting(actOf(on, context, { project, name }), () =>
          budgets.inTurn(async () => {
            checkTrust(site);
            const { network, budget } = madeNetwork(on, request);
            const answer = keep({ network });
            await locals.putNetwork(create(LocalNetworkSchema, { budget, network, ...(answer && { answer }) }));
            sometimes(log, "a partition made a network by itself");
            log.info("network-made", { network: network.id, budget });
            return { network };
          }),
        ),
      );
    },

    delete({ id, project }, context) {
      return audit.acting(actOf(on, context, { id, project }), () =>
        budgets.inTurn(async () => {
          checkTrust(site);
          const network = own(site, id, project);
          const local = deletable(site, network);
          await locals.putNetwork(local);
          sometimes(log, "a partition deleted a network by itself");
          log.info("network-deleted", { network: id, budget: local.budget });
          return { network };
        }),
      );
    },
  };
}

function own(site: Site, id: string, project: string): Network {
  const network = networkOf(site, id);
  if (network?.project === project) return network;
  throw new Refusal("not-found", `network ${id} is not known here, or not of project ${project}`, { field: "id" });
}

interface Made {
  readonly network: Network;
  readonly budget: string;
}

function madeNetwork({ site, budgets }: ForPeople, request: NetworkServiceCreateRequest): Made {
  const { project, name, description, labels } = request;
  checkBudgetLabel(labels);
  const left = budgets.of(project).flatMap((budget) =>
    budgets.free(budget).networks.flatMap((id) => {
      const network = site.ledger.get("network", id, NetworkSchema);
      return network && budgetOf(network) === budget.id ? [{ network, budget: budget.id }] : [];
    }),
  );
  const refusals = left.map(({ network }) => unlike(network, request));
  const found = left.find((_, i) => refusals[i] === undefined);
  if (!found) throw refusals[0] ?? outside("another network", "no budget has one left", "project");
  const made = copyOf(found.network);
  made.meta = newMeta(labels, site.clock.wallMs());
  if (name !== undefined) made.name = name;
  if (description !== undefined) made.description = description;
  return { network: made, budget: found.budget };
}

/** How one that is delegated differs from what is asked for. */
function unlike(network: Network, request: NetworkServiceCreateRequest): Refusal | undefined {
  const { partition, parentNetwork, addressFamily, length } = request;
  const { prefixes, parentNetwork: parent } = network;
  if (partition !== undefined && partition !== network.partition)
    return outside(
      `a network in partition ${partition}`,
      `one in ${network.partition ?? "no partition"} is`,
      "partition",
    );
  if (parentNetwork !== undefined && parentNetwork !== parent)
    return outside(`a network cut out of ${parentNetwork}`, `one cut out of ${parent} is`, "parent_network");
  if (addressFamily !== undefined && addressFamily !== familyOf(network))
    return outside("a network of that address family", `one with ${prefixes.join(", ")} is`, "address_family");
  if (length !== undefined && !hasLengths(network, length))
    return outside("a network of that length", `one with ${prefixes.join(", ")} is`, "length");
  return undefined;
}

const hasLengths = ({ prefixes }: Network, { ipv4, ipv6 }: ChildPrefixLength): boolean =>
  knownPrefixes(prefixes).every(({ family, length }) => length === ((family === 4 ? ipv4 : ipv6) ?? length));

/** @throws Refusal "precondition" for one that central has made, or adopted, and for one that something is in */
function deletable({ ledger, locals }: Site, { id }: Network): LocalNetwork {
  const local = locals.network(id);
  const told = ledger.get("network", id, NetworkSchema);
  if (!local || (told && budgetOf(told) === undefined)) {
    const text = `network ${id} is central's: the agent deletes only what it made and central has not adopted`;
    throw new Refusal("precondition", text, { reason: "NOT_GIVEN_HERE", field: "id" });
  }
  const holders = [
    ...locals
      .machines()
      .filter(({ allocation }) => allocation?.networks.some(({ network }) => network === id))
      .map(({ uuid }) => `machine ${uuid}`),
    ...locals.ips().flatMap(({ ip, deleted }) => (ip?.network === id && !deleted ? [`address ${ip.ip}`] : [])),
  ];
  if (holders.length > 0) {
    throw new Refusal("precondition", `network ${id} is in use by ${holders.join(", ")}`, { reason: "IN_USE" });
  }
  const next = copyOf(local);
  next.deleted = true;
  return next;
}
