import { durationMs, timestampMs } from "@bufbuild/protobuf/wkt";
import type { HandlerContext } from "@connectrpc/connect";
import { checkLock, touched } from "#domain/meta.ts";
import { type AskedPermission, flatPermissions } from "#domain/token/permission.ts";
import { tokenMatches } from "#domain/token/query.ts";
import { TokenService as AdminTokenService } from "#gen/metalstack/admin/v2/token_pb.ts";
import { AdminRole, InfraRole } from "#gen/metalstack/api/v2/common_pb.ts";
import {
  type Token,
  type TokenQuery,
  TokenService,
  type TokenServiceCreateRequest,
  type TokenServiceUpdateRequest,
} from "#gen/metalstack/api/v2/token_pb.ts";
import { hourMs } from "#lib/durations.ts";
import { copyOf } from "#lib/message.ts";
import { Refusal } from "#lib/refusal.ts";
import { callerOf } from "../access/caller.ts";
import { unknown } from "../catalog/catalog.ts";
import type { ServicePorts } from "../catalog/ports.ts";
import { sealedAnswer } from "../idempotency/kept-answers.ts";
import { rules } from "../rules.ts";
import { type Implementation, implement } from "../services.ts";
import { kinds } from "../store/kinds.ts";
import type { Tx } from "../store/tx.ts";
import { checkHolds, checkMethods } from "./holds.ts";
import { type Identity, type Issued, isReservedUser, type Keep, type Wanted } from "./identity.ts";
import { liveGrants } from "./live-grants.ts";
import { tokensOf } from "./tokens-of.ts";

const defaultLifetimeMs = 8 * hourMs;

type Ports = ServicePorts & { readonly identity: Identity };

export function tokenServices(ports: Ports): Implementation[] {
  const shelf = tokenShelf(ports);
  return [ownTokens(ports, shelf), allTokens(ports, shelf)];
}

type Shelf = ReturnType<typeof tokenShelf>;

function tokenShelf({ state }: Ports) {
  const byUser = tokensOf(state);
  const list = (query: TokenQuery | undefined, user: string | undefined): Token[] => {
    const rows = user === undefined ? state.list(kinds.token) : state.by(byUser, user);
    return rows.flatMap(({ value: { token, revoked } }) =>
      token !== undefined && !revoked && tokenMatches(token, query) ? [token] : [],
    );
  };
  const own = (uuid: string, user: string): Token => {
    const token = state.get(kinds.token, uuid)?.value.token;
    return token?.user === user ? token : unknown("token", uuid);
  };
  /** Without the grants for what is gone. */
  const live = (token: Token): Token => {
    const stored = state.get(kinds.token, token.uuid);
    return stored === undefined ? token : { ...token, ...liveGrants(state, stored, token) };
  };

  return { rules, list, own, live };
}

const ownTokens = ({ state, clock, identity }: Ports, { rules, list, own, live }: Shelf): Implementation =>
  implement(TokenService, {
    get: ({ uuid }, context) => ({ token: own(uuid, callerOf(context).user) }),
    list: ({ query }, context) => ({ tokens: list(query, callerOf(context).user) }),
    async create(request, context) {
      const caller = callerOf(context);
      const permissions = flatPermissions(request.permissions);
      checkHolds(caller, request, permissions, rules);
      return reveal(await identity.issue(wantedBy(request, permissions, caller.user), kept(context)));
    },
    async update(request, context) {
      const caller = callerOf(context);
      own(request.uuid, caller.user);
      const permissions = flatPermissions(request.permissions);
      checkHolds(caller, request, permissions, rules);
      const { result } = await state.transact((tx) => changed(tx, live, request, permissions, clock.wallMs()));
      return { token: result };
    },
    async revoke({ uuid }, context) {
      await identity.revoke(uuid, callerOf(context).user);
      return {};
    },
    // The old one stays good until it expires, because the answer may get lost. The new one names the roles that the old one
    // names: both are bound by what their owner may at the time of use.
    async refresh(_request, context) {
      const { token: uuid, user } = callerOf(context);
      // Without its type's name, which would say that all below it are whole messages already.
      const { meta, expires, issuedAt, $typeName, ...token } = live(own(uuid, user));
      if (expires === undefined || issuedAt === undefined) return unknown("token", uuid);
      const lifetimeMs = timestampMs(expires) - timestampMs(issuedAt);
      return reveal(await identity.issue({ ...token, lifetimeMs, labels: meta?.labels }, kept(context)));
    },
  });

const allTokens = ({ state, identity }: Ports, { rules, list }: Shelf): Implementation =>
  implement(AdminTokenService, {
    list: ({ query }) => ({ tokens: list(query, query?.user) }),
    async revoke({ uuid, user }) {
      await identity.revoke(uuid, user);
      return {};
    },
    // An administrator may give any role; what a person's membership governs stays bound by it whenever the token is used.
    async create({ user, tokenCreateRequest: request }, context) {
      if (request === undefined)
        throw new Refusal("invalid", "what to create is wanted", { field: "token_create_request" });
      const permissions = flatPermissions(request.permissions);
      checkMethods(permissions, rules);
      const owner = user ?? callerOf(context).user;
      if (isReservedUser(owner) && state.get(kinds.partition, partitionOf(owner)) === undefined) {
        return unknown("partition", partitionOf(owner));
      }
      return reveal(await identity.issue(wantedBy(request, permissions, owner), kept(context)));
    },
  });

function changed(
  tx: Tx,
  live: (token: Token) => Token,
  request: TokenServiceUpdateRequest,
  permissions: readonly AskedPermission[],
  nowMs: number,
): Token {
  const stored = copyOf(tx.get(kinds.token, request.uuid) ?? unknown("token", request.uuid));
  const token = stored.token ?? unknown("token", request.uuid);
  checkLock(`token ${token.uuid}`, token.meta, request.updateMeta);
  // A void grant would come to life again: from this change on, whatever is there now was there before.
  const { projectRoles, tenantRoles, permissions: kept } = live(token);
  Object.assign(token, { projectRoles, tenantRoles, permissions: kept });
  if (request.description !== undefined) token.description = request.description;
  if (permissions.length > 0) token.permissions = permissions.map(bare);
  if (Object.keys(request.projectRoles).length > 0) token.projectRoles = request.projectRoles;
  if (Object.keys(request.tenantRoles).length > 0) token.tenantRoles = request.tenantRoles;
  if (Object.keys(request.machineRoles).length > 0) token.machineRoles = request.machineRoles;
  if (request.adminRole === AdminRole.UNSPECIFIED) delete token.adminRole;
  else if (request.adminRole !== undefined) token.adminRole = request.adminRole;
  if (request.infraRole === InfraRole.UNSPECIFIED) delete token.infraRole;
  else if (request.infraRole !== undefined) token.infraRole = request.infraRole;
  token.meta = touched(token.meta, nowMs, request.labels);
  const ttlMs = token.expires === undefined ? 1 : Math.max(1, timestampMs(token.expires) - nowMs);
  tx.put(kinds.token, token.uuid, stored, { ttlMs });
  return token;
}

const partitionOf = (user: string): string => user.slice(user.indexOf(":") + 1);

const kept =
  (context: HandlerContext): Keep =>
  (issued) =>
    sealedAnswer(context, reveal(issued));

const reveal = ({ token, secret }: Issued) => ({ token, secret: secret.reveal() });

const bare = ({ subject, methods, $typeName }: AskedPermission) => ({ subject, methods, $typeName });

const wantedBy = (
  request: TokenServiceCreateRequest,
  permissions: readonly AskedPermission[],
  user: string,
): Wanted => ({
  user,
  description: request.description,
  lifetimeMs: request.expires === undefined ? defaultLifetimeMs : durationMs(request.expires),
  projectRoles: request.projectRoles,
  tenantRoles: request.tenantRoles,
  machineRoles: request.machineRoles,
  adminRole: request.adminRole,
  infraRole: request.infraRole,
  permissions: permissions.map(bare),
  labels: request.labels,
});
