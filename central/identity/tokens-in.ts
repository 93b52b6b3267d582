import { create } from "@bufbuild/protobuf";
import { timestampMs } from "@bufbuild/protobuf/wkt";
import { type TokenAccess, TokenAccessSchema } from "#gen/holdfast/state/v1/budget_pb.ts";
import type { StoredToken } from "#gen/holdfast/state/v1/token_pb.ts";
import { ProjectRole } from "#gen/metalstack/api/v2/common_pb.ts";
import { IPService } from "#gen/metalstack/api/v2/ip_pb.ts";
import { MachineService } from "#gen/metalstack/api/v2/machine_pb.ts";
import { NetworkService } from "#gen/metalstack/api/v2/network_pb.ts";
import type { Token } from "#gen/metalstack/api/v2/token_pb.ts";
import { Refusal } from "#lib/refusal.ts";
import type { Caller } from "../access/caller.ts";
import { decide } from "../access/decide.ts";
import { noSubject, ruleOf } from "../access/rule.ts";
import type { Stored } from "../store/cache.ts";
import { kinds } from "../store/kinds.ts";
import type { State } from "../store/state.ts";

/** Tokens of one project that a partition is told of; beyond that, those that end first are left out. */
const tokensMax = 2_000;

/** What a partition serves by itself. */
const served = [MachineService, IPService, NetworkService].flatMap((service) => service.methods.map(ruleOf));

/** Of the tokens that may do something in a project now, in order of their ids. */
export function tokensIn(
  state: State,
  project: string,
  nowMs: number,
  callerOf: (stored: Stored<StoredToken>, token: Token) => Caller,
): TokenAccess[] {
  const found = state.list(kinds.token).flatMap((stored) => {
    const { token, revoked } = stored.value;
    if (!token?.expires || revoked || timestampMs(token.expires) <= nowMs) return [];
    const caller = orNobody(() => callerOf(stored, token));
    const access = caller && accessOf(caller, project, token);
    return access ? [access] : [];
  });
  if (found.length <= tokensMax) return found;
  const endMs = (one: TokenAccess) => (one.expires ? timestampMs(one.expires) : 0);
  const latest = new Set([...found].sort((a, b) => endMs(b) - endMs(a)).slice(0, tokensMax));
  return found.filter((one) => latest.has(one));
}

function accessOf(caller: Caller, project: string, { uuid, user, expires }: Token): TokenAccess | undefined {
  const role = caller.rights.projectRole(project);
  const single = served.filter(
    (rule) => !rule.projectRoles.includes(role) && decide(rule, caller, { ...noSubject, project }).allowed,
  );
  const methods = single.map(({ method }) => method);
  if (role === ProjectRole.UNSPECIFIED && methods.length === 0) return undefined;
  return create(TokenAccessSchema, { uuid, user, role, methods, ...(expires && { expires }) });
}

/** A token that is no good any more is nobody's. */
function orNobody(caller: () => Caller): Caller | undefined {
  try {
    return caller();
  } catch (error) {
    if (error instanceof Refusal) return undefined;
    throw error;
  }
}
