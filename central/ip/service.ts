import { checkBudgetLabel } from "#domain/budget/items.ts";
import { checkMachineLabel, machineOf } from "#domain/ip/machine-label.ts";
import { canonicalIp, ipMatches } from "#domain/ip/query.ts";
import { IPService as AdminIPService } from "#gen/metalstack/admin/v2/ip_pb.ts";
import { AdminRole, type UpdateLabels } from "#gen/metalstack/api/v2/common_pb.ts";
import { type IP, type IPQuery, IPService, IPType } from "#gen/metalstack/api/v2/ip_pb.ts";
import { NetworkType } from "#gen/metalstack/api/v2/network_pb.ts";
import { Refusal } from "#lib/refusal.ts";
import { callerOf } from "../access/caller.ts";
import { checkNotDelegated } from "../budget/delegated.ts";
import { catalog, unknown } from "../catalog/catalog.ts";
import type { ServicePorts } from "../catalog/ports.ts";
import { causeOf } from "../history/cause.ts";
import { keepAnswer } from "../idempotency/kept-answers.ts";
import { searcher } from "../network/search.ts";
import { spaces } from "../network/spaces.ts";
import { quotaKeeper } from "../quota/keep-quota.ts";
import { type Implementation, implement } from "../services.ts";
import { kinds } from "../store/kinds.ts";
import { firstLabel, narrowed } from "../store/narrow.ts";
import type { Tx } from "../store/tx.ts";
import { ipIndexes } from "./indexes.ts";
import { takeAddress } from "./take.ts";

export function ipServices(ports: ServicePorts): Implementation[] {
  const { state, clock, random, session } = ports;
  const ips = catalog(ports, kinds.ip, "address");
  const { addresses } = spaces(state);
  const searching = searcher(random, session);
  const keepQuota = quotaKeeper(state);

  const byOwner = state.index(kinds.ip, "owner", (ip) => `${ip.project}/${ip.ip}`);

  const indexes = ipIndexes(state);
  const among = ({ machine, labels, network, project }: Partial<IPQuery>) =>
    narrowed(state, kinds.ip, [
      [indexes.byMachine, machine],
      [indexes.byLabel, firstLabel(labels)],
      [indexes.byNetwork, network],
      [indexes.byProject, project],
    ]);

  /** Without a namespace: the address outside of namespaces, which comes first, else one in the first of them. */
  const idOf = (ip: string, project: string, namespace: string | undefined): string => {
    const owned = state.by(byOwner, `${project}/${canonicalIp(ip)}`);
    return owned.find(({ value }) => (namespace ?? value.namespace) === value.namespace)?.id ?? unknown("address", ip);
  };

  return [
    implement(IPService, {
      get: ({ ip, project, namespace }) => ({ ip: ips.get(idOf(ip, project, namespace)) }),
      list: ({ project, query }) => ({
        ips: ips.list((ip) => ip.project === project && ipMatches(ip, query), among({ ...query, project })),
      }),
      async create(request, context) {
        const uuid = random.uuid();
        const cause = causeOf(context);
        const isAdministrator = callerOf(context).rights.adminRole === AdminRole.EDITOR;
        const { result } = await searching((next) =>
          state.transact((tx) => {
            const taking = { uuid, addresses, nowMs: clock.wallMs(), search: next(), isAdministrator };
            const ip = takeAddress(tx, request, taking);
            keepQuota(tx, request.project);
            keepAnswer(context, tx, { ip });
            return ip;
          }, cause),
        );
        return { ip: result };
      },
      async update(request, context) {
        const id = idOf(request.ip, request.project, undefined);
        checkLabels(request.labels);
        const ip = await ips.by(context).update(id, request, (draft, tx, before) => {
          checkNotDelegated(before, `address ${before.ip}`, "ip");
          if (request.name !== undefined) draft.name = request.name;
          if (request.description !== undefined) draft.description = request.description;
          if (request.type !== undefined) draft.type = retyped(tx, before, request.type);
          if (request.labels?.strategy.case === "replace" && machineOf(before) !== undefined) {
            throw new Refusal("precondition", `address ${before.ip} is in use: patch its labels`, { field: "labels" });
          }
        });
        return { ip };
      },
      async delete({ ip, project }, context) {
        const id = idOf(ip, project, undefined);
        const { result } = await state.transact((tx) => {
          const stored = tx.get(kinds.ip, id) ?? unknown("address", ip);
          checkNotDelegated(stored, `address ${ip}`, "ip");
          const machine = machineOf(stored);
          if (machine !== undefined) {
            throw new Refusal("precondition", `address ${ip} is in use by machine ${machine}`, { reason: "IN_USE" });
          }
          tx.delete(kinds.ip, id);
          return stored;
        }, causeOf(context));
        return { ip: result };
      },
    }),
    implement(AdminIPService, {
      list: ({ query }) => ({ ips: ips.list((ip) => ipMatches(ip, query), among(query ?? {})) }),
    }),
  ];
}

/** Which machine uses an address is not for its owner to write. */
function checkLabels(change: UpdateLabels | undefined): void {
  checkBudgetLabel(change);
  checkMachineLabel(change);
}

function retyped(tx: Tx, before: IP, wanted: IPType): IPType {
  if (before.type === IPType.IP_TYPE_STATIC && wanted === IPType.IP_TYPE_EPHEMERAL) {
    throw new Refusal("precondition", `address ${before.ip} is static, and stays so`, { field: "type" });
  }
  // Else a project could keep an address of the fabric's beyond the firewall that it was for.
  if (wanted === IPType.IP_TYPE_STATIC && tx.get(kinds.network, before.network)?.type === NetworkType.UNDERLAY) {
    const text = `address ${before.ip} is in underlay network ${before.network}, and goes with its firewall`;
    throw new Refusal("precondition", text, { field: "type" });
  }
  return wanted === IPType.IP_TYPE_UNSPECIFIED ? before.type : wanted;
}
