import { create, type MessageInitShape } from "@bufbuild/protobuf";
import type { GenEnum } from "@bufbuild/protobuf/codegenv2";
import { durationFromMs } from "@bufbuild/protobuf/wkt";
import { TokenService as AdminTokenService } from "#gen/metalstack/admin/v2/token_pb.ts";
import {
  AdminRoleSchema,
  InfraRoleSchema,
  MachineRoleSchema,
  ProjectRoleSchema,
  TenantRoleSchema,
} from "#gen/metalstack/api/v2/common_pb.ts";
import {
  TokenService,
  type TokenServiceCreateRequestSchema,
  TokenServiceCreateResponseSchema,
} from "#gen/metalstack/api/v2/token_pb.ts";
import { parseRoles } from "../argument.ts";
import { type Cli, note, say, wanted, withApi } from "../cli.ts";
import { Failure } from "../failure.ts";
import type { ConnectFlags, OutputFlags } from "../flags.ts";
import { enumValue, enumWords } from "../view/enum-text.ts";
import { oneText } from "../view/output.ts";
import { given } from "./create.ts";

export type TokenCreateFlags = ConnectFlags &
  OutputFlags & {
    readonly description: string;
    readonly expires: number;
    readonly projectRole?: readonly string[] | undefined;
    readonly tenantRole?: readonly string[] | undefined;
    readonly machineRole?: readonly string[] | undefined;
    readonly adminRole?: "editor" | "viewer" | undefined;
    readonly infraRole?: "editor" | "viewer" | undefined;
    readonly user?: string | undefined;
  };

/** Writes the secret alone to the output, so that `> FILE` keeps a token file; everything else goes beside it. */
export async function createToken(this: Cli, flags: TokenCreateFlags): Promise<void> {
  const request = requestOf(flags);
  await withApi(this, flags, async (api) => {
    const made =
      flags.user === undefined
        ? await api.client(TokenService).create(request)
        : await api.client(AdminTokenService).create({ user: flags.user, tokenCreateRequest: request });
    if (flags.output === "json" || flags.output === "yaml") {
      const plain = create(TokenServiceCreateResponseSchema, { ...given("token", made.token), secret: made.secret });
      return say(this, oneText(TokenServiceCreateResponseSchema, plain, flags.output));
    }
    note(this, `token ${made.token?.uuid}: the secret is shown this once`);
    say(this, `${made.secret}\n`);
  });
}

function requestOf(flags: TokenCreateFlags): MessageInitShape<typeof TokenServiceCreateRequestSchema> {
  return {
    description: flags.description,
    expires: durationFromMs(flags.expires),
    projectRoles: rolesOf(ProjectRoleSchema, flags.projectRole),
    tenantRoles: rolesOf(TenantRoleSchema, flags.tenantRole),
    machineRoles: rolesOf(MachineRoleSchema, flags.machineRole),
    ...given("adminRole", roleOf(AdminRoleSchema, flags.adminRole)),
    ...given("infraRole", roleOf(InfraRoleSchema, flags.infraRole)),
  };
}

const rolesOf = <R extends number>(type: GenEnum<R>, said: readonly string[] | undefined) =>
  wanted(parseRoles(said ?? [], enumWords(type), (word) => enumValue(type, word)));

function roleOf<R extends number>(type: GenEnum<R>, word: string | undefined): R | undefined {
  const role = word === undefined ? undefined : enumValue(type, word);
  if (word !== undefined && role === undefined)
    throw new Failure(`role ${word}: ${enumWords(type).join(" or ")} is wanted`, 2);
  return role;
}

export type RevokeFlags = ConnectFlags & { readonly user?: string | undefined };

export async function revokeToken(this: Cli, flags: RevokeFlags, uuid: string): Promise<void> {
  await withApi(this, flags, async (api) => {
    if (flags.user === undefined) await api.client(TokenService).revoke({ uuid });
    else await api.client(AdminTokenService).revoke({ uuid, user: flags.user });
  });
}
