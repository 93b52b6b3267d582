// Who calls: mostly somebody who may.
import { type DescMethod, getOption } from "@bufbuild/protobuf";
import type { CentralWithMachines } from "#central/testing/machines.ts";
import type { Side, TwoTenants } from "#central/testing/two-tenants.ts";
import {
  AdminRole,
  admin_roles,
  infra_roles,
  MachineRole,
  machine_roles,
  project_roles,
} from "#gen/metalstack/api/v2/common_pb.ts";
import { TokenType } from "#gen/metalstack/api/v2/token_pb.ts";
import { dayMs } from "#lib/durations.ts";
import type { Seeded } from "#lib/seeded.ts";

export interface Caller {
  readonly name: string;
  /** Whose things the caller mostly asks for; undefined: anybody's. */
  readonly side?: Side;
  readonly authorization: string | undefined;
}

export type Callers = (method: DescMethod, random: Seeded) => Caller;

const lifetimeMs = 300 * dayMs;

export async function callers(central: CentralWithMachines, { ours, theirs }: TwoTenants): Promise<Callers> {
  const { identity } = central;
  const as = async (name: string, wanted: Omit<Parameters<typeof identity.issue>[0], "lifetimeMs">, side?: Side) => {
    const { secret } = await identity.issue({ lifetimeMs, ...wanted });
    return { name, authorization: `Bearer ${secret.reveal()}`, ...(side && { side }) };
  };
  const admin = await as("admin", { user: "admin", adminRole: AdminRole.EDITOR });
  const owner = await as("owner", { user: ours.owner, tokenType: TokenType.USER }, ours);
  const other = await as("other owner", { user: theirs.owner, tokenType: TokenType.USER }, theirs);
  // What the provider's owner holds by membership: administrator of everything, and owner of all that it made.
  const chief = await as("chief", { user: "admin", projectRoles: { "*": 1 }, tenantRoles: { "*": 1 } });
  const machineRoles = { "*": MachineRole.EDITOR };
  const installer = await as("installer", { user: "installer", machineRoles });
  const agent = { name: "agent", authorization: `Bearer ${central.agentToken}` };
  const nobody = { name: "nobody", authorization: undefined };
  const nonsense = { name: "nonsense", authorization: "Bearer eyJ.\u00e9.x" };
  const all = [admin, owner, other, chief, installer, agent, nobody, nonsense];
  return (method, random) => {
    if (random.chance(0.1)) return random.pick(all);
    if (getOption(method, infra_roles).length > 0) return agent;
    if (getOption(method, machine_roles).length > 0) return installer;
    const isAdministrators = getOption(method, admin_roles).length > 0 && getOption(method, project_roles).length === 0;
    if (isAdministrators || random.chance(0.05)) return admin;
    return random.pick([owner, owner, other, chief]);
  };
}
