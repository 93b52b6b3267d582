import { create } from "@bufbuild/protobuf";
import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import { newMeta } from "#domain/meta.ts";
import { AdminRole, InfraRole, MachineRole, ProjectRole, TenantRole } from "#gen/metalstack/api/v2/common_pb.ts";
import { TenantMemberSchema, TenantSchema } from "#gen/metalstack/api/v2/tenant_pb.ts";
import type { Clock } from "#lib/clock.ts";
import type { Log } from "#lib/log.ts";
import type { SecretFile } from "#lib/secret-file.ts";
import { everything, type Grants } from "../access/rights.ts";
import { kinds } from "../store/kinds.ts";
import type { State } from "../store/state.ts";
import type { Identity } from "./identity.ts";
import { membershipId } from "./membership.ts";

export const dayMs = 86_400_000;
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

/**
 * Makes sure that the file holds a token with which an installation can be begun: at the first start, and again when the one in
 * it is no good any more. The tenant of those who run the installation is made, too.
 */
export async function ensureAdminToken(ports: {
  readonly state: State;
  readonly identity: Identity;
  readonly clock: Clock;
  readonly log: Log;
  readonly provider: string;
  readonly file: SecretFile;
}): Promise<void> {
  const { identity, file } = ports;
  await ensureProvider(ports);
  const held = (await file.read())?.trim();
  if (held !== undefined && held !== "") {
    const caller = await identity.callerOf(`Bearer ${held}`).catch(() => undefined);
    if (caller?.rights.adminRole === AdminRole.EDITOR) return;
  }
  const description = "Made at the first start, for the administrator.";
  const { secret, token } = await identity.issue({ user: adminUser, description, lifetimeMs, ...adminGrants });
  await file.write(`${secret.reveal()}\n`);
  ports.log.info("admin-token-written", { file: file.path, token: token.uuid });
}

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
    const member = {
      id: adminUser,
      role: TenantRole.OWNER,
      createdAt: timestampFromMs(now),
      meta: newMeta(undefined, now),
    };
    tx.put(kinds.tenantMember, membershipId(provider, adminUser), create(TenantMemberSchema, member));
  });
}
