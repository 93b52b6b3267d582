import { create } from "@bufbuild/protobuf";
import { newMeta } from "#domain/meta.ts";
import { TenantRole } from "#gen/metalstack/api/v2/common_pb.ts";
import { TenantSchema } from "#gen/metalstack/api/v2/tenant_pb.ts";
import type { Clock } from "#lib/clock.ts";
import { Refusal } from "#lib/refusal.ts";
import { membershipId, newMembership } from "../identity/membership.ts";
import { kinds } from "../store/kinds.ts";
import type { State } from "../store/state.ts";
import type { Person } from "./person.ts";

/**
 * The tenant that has the person's login, made when they come for the first time, with them as its owner.
 * @returns whether it was made
 * @throws Refusal "denied" when a tenant of that name belongs to others: a login gives no right to it
 */
export async function ensurePersonalTenant(
  { state, clock }: { readonly state: State; readonly clock: Clock },
  { login, name, email, avatarUrl }: Person,
): Promise<boolean> {
  const { result } = await state.transact(
    (tx) => {
      const membership = membershipId(login, login);
      if (tx.get(kinds.tenantMember, membership) !== undefined) return false;
      if (tx.get(kinds.tenant, login) !== undefined) {
        throw new Refusal("denied", `tenant ${login} belongs to others: an administrator has to settle this`, {
          reason: "TENANT_TAKEN",
        });
      }
      const now = clock.wallMs();
      const meta = newMeta(undefined, now);
      const tenant = { login, name, email, avatarUrl, description: "", createdBy: login, meta };
      tx.put(kinds.tenant, login, create(TenantSchema, tenant));
      const owner = newMembership(kinds.tenantMember, { id: login, role: TenantRole.OWNER }, now);
      tx.put(kinds.tenantMember, membership, owner);
      return true;
    },
    { actor: login, method: "", reason: "came for the first time" },
  );
  return result;
}
