import { create } from "@bufbuild/protobuf";
import { newMeta } from "#domain/meta.ts";
import { AdminRole, InfraRole, MachineRole, ProjectRole, TenantRole } from "#gen/metalstack/api/v2/common_pb.ts";
import { TenantSchema } from "#gen/metalstack/api/v2/tenant_pb.ts";
import type { Clock } from "#lib/clock.ts";
import { dayMs } from "#lib/durations.ts";
import type { Log } from "#lib/log.ts";
import { Refusal } from "#lib/refusal.ts";
import type { SecretFile } from "#lib/secret-file.ts";
import { everything, type Grants } from "../access/rights.ts";
import { byCentral } from "../history/cause.ts";
import { kinds } from "../store/kinds.ts";
import type { State } from "../store/state.ts";
import type { Identity, Issued } from "./identity.ts";
import { membershipId, membershipRights, newMembership } from "./membership.ts";

const lifetimeMs = 365 * dayMs;

/** Login of the first administrator. */
export const adminUser = "admin";

/** All that there is: for the one who runs the installation. */
export const adminGrants: Grants = {
  adminRole: AdminRole.EDITOR,
  infraRole: InfraRole.EDITOR,
  projectRoles: { [everything]: ProjectRole.OWNER },
  tenantRoles: { [everything]: TenantRole.OWNER },
  machineRoles: { [everything]: MachineRole.EDITOR },
};

interface AdminTokenPorts {
  readonly state: State;
  readonly identity: Identity;
  readonly clock: Clock;
  readonly provider: string;
}

/**
 * Makes sure that the file holds a token with which an installation can be begun: at the first start, and again when the one in
 * it is no good any more. The tenant of those who run the installation is made, too. Where the first administrator has been
 * taken out of that tenant, others run the installation, and nothing is written.
 */
export async function ensureAdminToken(
  ports: AdminTokenPorts & { readonly log: Log; readonly file: SecretFile },
): Promise<void> {
  const { state, identity, provider, file, log } = ports;
  await ensureProvider(ports);
  const held = (await file.read())?.trim();
  if (held !== undefined && held !== "") {
    const caller = await identity.callerOf(`Bearer ${held}`).catch(() => undefined);
    if (caller?.rights.adminRole === AdminRole.EDITOR) return;
  }
  if (!runsInstallation(state, provider, adminUser)) {
    log.info("admin-token-not-written", { why: `${adminUser} is no owner of tenant ${provider} any more` });
    return;
  }
  const description = "Made at the first start, for the administrator.";
  const { secret, token } = await identity.issue({ user: adminUser, description, lifetimeMs, ...adminGrants });
  await file.write(`${secret.reveal()}\n`);
  log.info("admin-token-written", { file: file.path, token: token.uuid });
}

/**
 * A further token for one who runs the installation, made beside the API: for those who have none any more.
 * @throws Refusal "precondition" for a user whose memberships would make it worthless
 */
export async function furtherAdminToken(
  ports: AdminTokenPorts,
  { user, lifetimeMs }: { readonly user: string; readonly lifetimeMs: number },
): Promise<Issued> {
  const { state, identity, provider } = ports;
  await ensureProvider(ports);
  if (!runsInstallation(state, provider, user)) {
    throw new Refusal("precondition", `${user} is no owner of tenant ${provider}, so the token would open nothing`, {
      reason: "NO_ADMINISTRATOR",
    });
  }
  const description = "Made by a command on central's host, for an administrator.";
  return identity.issue({ user, description, lifetimeMs, ...adminGrants });
}

const runsInstallation = (state: State, provider: string, user: string): boolean =>
  membershipRights(state, provider, user).adminRole === AdminRole.EDITOR;

async function ensureProvider(ports: {
  readonly state: State;
  readonly clock: Clock;
  readonly provider: string;
}): Promise<void> {
  const { state, provider } = ports;
  if (state.get(kinds.tenant, provider) !== undefined) return;
  const now = ports.clock.wallMs();
  await state.transact((tx) => {
    if (tx.get(kinds.tenant, provider) !== undefined) return;
    const description = "Those who run this installation.";
    const tenant = {
      login: provider,
      name: provider,
      description,
      createdBy: adminUser,
      meta: newMeta(undefined, now),
    };
    tx.put(kinds.tenant, provider, create(TenantSchema, tenant));
    const owner = newMembership(kinds.tenantMember, { id: adminUser, role: TenantRole.OWNER }, now);
    tx.put(kinds.tenantMember, membershipId(provider, adminUser), owner);
  }, byCentral("began for the first time"));
}
