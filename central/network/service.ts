import { create } from "@bufbuild/protobuf";
import type { HandlerContext } from "@connectrpc/connect";
import { checkBudgetLabel } from "#domain/budget/items.ts";
import { networkMatches } from "#domain/network/query.ts";
import { isChild } from "#domain/network/rules.ts";
import { NetworkService as AdminNetworkService } from "#gen/metalstack/admin/v2/network_pb.ts";
import type { Labels } from "#gen/metalstack/api/v2/common_pb.ts";
import {
  NATType,
  type Network,
  type NetworkQuery,
  NetworkSchema,
  NetworkService,
  type NetworkServiceCreateRequest,
  NetworkType,
} from "#gen/metalstack/api/v2/network_pb.ts";
import { checkNotDelegated } from "../budget/delegated.ts";
import { type Change, catalog, unknown } from "../catalog/catalog.ts";
import type { ServicePorts } from "../catalog/ports.ts";
import { causeOf } from "../history/cause.ts";
import { keepAnswer } from "../idempotency/kept-answers.ts";
import { quotaKeeper } from "../quota/keep-quota.ts";
import { type Implementation, implement } from "../services.ts";
import { kinds } from "../store/kinds.ts";
import { firstLabel, narrowed } from "../store/narrow.ts";
import type { Tx } from "../store/tx.ts";
import { checkAsked, holdersOf, recheck, settle } from "./change.ts";
import { networkIndexes } from "./indexes.ts";
import { narrowing } from "./kept-prefixes.ts";
import { spaces } from "./spaces.ts";
import { isBase, networkView } from "./view.ts";
import { giveBackVrf } from "./vrf.ts";

export function networkServices(ports: ServicePorts): Implementation[] {
  const shelf = networkShelf(ports);
  return [userNetworks(shelf), adminNetworks(shelf)];
}

type Shelf = ReturnType<typeof networkShelf>;

/** What both services do alike. */
function networkShelf(ports: ServicePorts) {
  const { state, random } = ports;
  const networks = catalog(ports, kinds.network, "network");
  const keepQuota = quotaKeeper(state);
  const cutting = { spaces: spaces(state), random };

  const show = networkView(state);
  const shown = (found: readonly Network[], project?: string): Network[] => found.map((n) => show(n, project));

  const indexes = networkIndexes(state);
  const among = ({ labels, parentNetwork, project }: Partial<NetworkQuery>) =>
    narrowed(state, kinds.network, [
      [indexes.byParent, parentNetwork],
      [indexes.byLabel, firstLabel(labels)],
      [indexes.byProject, project],
    ]);

  const own = (id: string, project: string): Network => {
    const network = networks.get(id);
    return network.project === project ? network : unknown("network", id);
  };

  const add = async (network: Network, labels: Labels | undefined, wanted: Wanted, context: HandlerContext) => {
    checkAsked(network);
    checkBudgetLabel(labels);
    if (isChild(network)) network.id = random.uuid();
    const { length, addressFamily } = wanted;
    const created = await networks.by(context).create(network.id, network, labels, (tx, draft) => {
      settle(tx, draft, { length, addressFamily }, cutting);
      if (draft.project !== undefined) keepQuota(tx, draft.project, { networks: 1 });
      keepAnswer(context, tx, { network: show(draft) });
    });
    return show(created);
  };

  const remove = async (id: string, context: HandlerContext) => {
    checkNotDelegated(networks.get(id), `network ${id}`, "id");
    return networks.by(context).remove(id, holdersOf, (tx: Tx, network) => giveBackVrf(tx, network.vrf, network.id));
  };

  const narrow = ({ id, prefixes }: Prefixes, context: HandlerContext, change: () => Promise<Network>) =>
    narrowing(state, networks.get(id), prefixes, causeOf(context), change);

  return { networks, among, shown, show, own, add, remove, narrow };
}

const userNetworks = ({ networks, among, shown, show, own, add, remove }: Shelf): Implementation =>
  implement(NetworkService, {
    get: ({ id, project }) => {
      const network = networks.get(id);
      const isOpen = network.project === project || isBase(network);
      return { network: show(isOpen ? network : unknown("network", id), project) };
    },
    list: ({ project, query }) => ({
      networks: shown(
        networks.list((n) => n.project === project && networkMatches(n, query), among({ ...query, project })),
      ),
    }),
    listBaseNetworks: ({ project, query }) => ({
      networks: shown(
        networks.list((n) => isBase(n) && networkMatches(n, query)),
        project,
      ),
    }),
    create: async (request, context) => ({ network: await add(childOf(request), request.labels, request, context) }),
    update: async (request, context) => {
      own(request.id, request.project);
      return {
        network: show(
          await networks.by(context).update(request.id, request, (draft) => {
            checkChange(draft, request);
            if (request.name !== undefined) draft.name = request.name;
            if (request.description !== undefined) draft.description = request.description;
          }),
        ),
      };
    },
    delete: async ({ id, project }, context) => {
      own(id, project);
      return { network: await remove(id, context) };
    },
  });

const adminNetworks = ({ networks, among, shown, show, add, remove, narrow }: Shelf): Implementation =>
  implement(AdminNetworkService, {
    get: ({ id }) => ({ network: show(networks.get(id)) }),
    list: ({ query }) => ({
      networks: shown(networks.list((n) => networkMatches(n, query), among(query ?? {}))),
    }),
    create: async (request, context) => {
      const { labels, length, addressFamily, $typeName: _, $unknown: __, ...fields } = request;
      const network = create(NetworkSchema, {
        ...withoutAbsent(fields),
        natType: fields.natType ?? (isChild(fields) ? NATType.NAT_TYPE_UNSPECIFIED : NATType.NAT_TYPE_NONE),
      });
      return { network: await add(network, labels, { length, addressFamily }, context) };
    },
    async update(request, context) {
      const change = () =>
        networks.by(context).update(request.id, request, (draft, tx, before) => {
          checkChange(draft, request);
          if (request.name !== undefined) draft.name = request.name;
          if (request.description !== undefined) draft.description = request.description;
          // An empty list leaves what is stored: the protocol cannot tell it from none.
          if (request.prefixes.length > 0) draft.prefixes = request.prefixes;
          if (request.destinationPrefixes.length > 0) draft.destinationPrefixes = request.destinationPrefixes;
          if (request.defaultChildPrefixLength) draft.defaultChildPrefixLength = request.defaultChildPrefixLength;
          if (request.minChildPrefixLength) draft.minChildPrefixLength = request.minChildPrefixLength;
          if (request.natType !== undefined) draft.natType = request.natType;
          // As metal-stack has it, where only a forced request says what may be announced.
          if (request.force || request.additionalAnnouncableCidrs.length > 0) {
            draft.additionalAnnouncableCidrs = request.additionalAnnouncableCidrs;
          }
          recheck(tx, before, draft, request.force);
        });
      return { network: show(await narrow(request, context, change)) };
    },
    delete: async ({ id }, context) => ({ network: await remove(id, context) }),
  });

function checkChange(network: Network, { labels }: Change): void {
  checkNotDelegated(network, `network ${network.id}`, "id");
  checkBudgetLabel(labels);
}

type Prefixes = Pick<Network, "id" | "prefixes">;
type Wanted = Pick<NetworkServiceCreateRequest, "length" | "addressFamily">;

const childOf = (request: NetworkServiceCreateRequest): Network => {
  const { project, name, description, partition, parentNetwork } = request;
  const fields = withoutAbsent({ name, description, partition, parentNetwork });
  return create(NetworkSchema, { ...fields, project, type: NetworkType.CHILD });
};

/** Optional fields of a message are absent, not undefined. */
function withoutAbsent<T extends object>(fields: T): { [K in keyof T]: Exclude<T[K], undefined> } {
  const present = Object.entries(fields).filter(([, value]) => value !== undefined);
  return Object.fromEntries(present) as { [K in keyof T]: Exclude<T[K], undefined> };
}
