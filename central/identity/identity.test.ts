import assert from "node:assert/strict";
import { afterEach, beforeEach, describe, test } from "node:test";
import { create } from "@bufbuild/protobuf";
import { durationFromMs } from "@bufbuild/protobuf/wkt";
import { Code, ConnectError } from "@connectrpc/connect";
import { decodeJwt } from "jose";
import { StoredTokenSchema } from "#gen/holdfast/state/v1/token_pb.ts";
import { PartitionService as AdminPartitionService } from "#gen/metalstack/admin/v2/partition_pb.ts";
import { TenantService as AdminTenantService } from "#gen/metalstack/admin/v2/tenant_pb.ts";
import { TokenService as AdminTokenService } from "#gen/metalstack/admin/v2/token_pb.ts";
import { AdminRole, InfraRole, ProjectRole, TenantRole } from "#gen/metalstack/api/v2/common_pb.ts";
import { IPService } from "#gen/metalstack/api/v2/ip_pb.ts";
import { MethodService } from "#gen/metalstack/api/v2/method_pb.ts";
import { PartitionService } from "#gen/metalstack/api/v2/partition_pb.ts";
import { ProjectService } from "#gen/metalstack/api/v2/project_pb.ts";
import { TenantService } from "#gen/metalstack/api/v2/tenant_pb.ts";
import { TokenService, TokenServiceCreateRequestSchema } from "#gen/metalstack/api/v2/token_pb.ts";
import { UserService } from "#gen/metalstack/api/v2/user_pb.ts";
import { VersionService } from "#gen/metalstack/api/v2/version_pb.ts";
import { SwitchService } from "#gen/metalstack/infra/v2/switch_pb.ts";
import { dayMs, hourMs } from "#lib/durations.ts";
import { silentLog as silent } from "#lib/log.ts";
import { Refusal } from "#lib/refusal.ts";
import { expiresByItself } from "../io/testing/test-store.ts";
import { kinds } from "../store/kinds.ts";
import { memoryFile, type TestCentral, testCentral } from "../testing/central.ts";
import { until } from "../testing/until.ts";
import { ensureAdminToken, furtherAdminToken } from "./admin-token.ts";
import { userTokensMax } from "./identity.ts";
import { issueAgentToken } from "./issue.ts";

let central: TestCentral;
beforeEach(async () => {
  central = await testCentral();
});
afterEach(() => central.close());

const refusedWith = (code: Code) => (e: unknown) => e instanceof ConnectError && e.code === code;

async function projectOf(owner: string) {
  const { tenant } = await central.client(AdminTenantService).create({ name: `${owner}-tenant` });
  await central.client(AdminTenantService).addMember({ tenant: tenant!.login, member: owner, role: TenantRole.OWNER });
  const projects = central.client(ProjectService, await central.tokenFor(owner));
  const { project } = await projects.create({ login: tenant!.login, name: "p1", description: "" });
  return { project: project!, tenant: tenant!.login };
}

test("without a token only public methods answer", async () => {
  assert.ok((await central.anonymous(VersionService).get({})).version);
  await assert.rejects(central.anonymous(PartitionService).list({}), refusedWith(Code.Unauthenticated));
});

test("a stale token does not keep anybody from public methods", async () => {
  assert.ok((await central.client(VersionService, "rubbish").get({})).version);
});

test("rubbish, another key's signature and an unsigned token are refused", async () => {
  const [header, body] = central.adminToken.split(".") as [string, string, string];
  const unsigned = `${Buffer.from('{"alg":"none","kid":"1"}').toString("base64url")}.${body}.`;
  const cut = `${header}.${body}.${"A".repeat(176)}`;
  for (const token of ["rubbish", "a.b.c", unsigned, cut, `${central.adminToken}x`]) {
    await assert.rejects(central.client(PartitionService, token).list({}), refusedWith(Code.Unauthenticated), token);
  }
});

const skip = expiresByItself && "its clock is the world's";
test("a token ends with its time, and is then forgotten", { skip }, async () => {
  const { token, secret } = await central.identity.issue({ user: "u1", lifetimeMs: hourMs });
  const partitions = central.client(PartitionService, secret.reveal());
  central.clock.advance(hourMs - 1);
  await partitions.list({});
  central.clock.advance(1);
  await assert.rejects(partitions.list({}), refusedWith(Code.Unauthenticated));
  await until("the token is forgotten", () => !central.state.get(kinds.token, token.uuid));
});

test("a revoked token is cut off at once, although its signature is remembered", async () => {
  const { token, secret } = await central.identity.issue({ user: "u1", lifetimeMs: hourMs });
  const tokens = central.client(TokenService, secret.reveal());
  assert.equal((await tokens.get({ uuid: token.uuid })).token?.user, "u1");
  await tokens.revoke({ uuid: token.uuid });
  await assert.rejects(tokens.list({}), refusedWith(Code.Unauthenticated));
});

test("the secret is shown once and stored nowhere", async () => {
  const tokens = central.client(TokenService);
  const { secret, token } = await tokens.create({ description: "d", expires: durationFromMs(hourMs) });
  assert.equal(decodeJwt(secret).jti, token?.uuid);
  const { tokens: listed } = await tokens.list({});
  assert.equal(listed.length, 2);
  const stored = JSON.stringify(central.state.list(kinds.token), (_k, v) => (typeof v === "bigint" ? `${v}` : v));
  assert.ok(!stored.includes(secret.split(".")[2] ?? ""));
});

test("a lifetime is ten minutes to one year", async () => {
  const tokens = central.client(TokenService);
  for (const ms of [600_000 - 1, 365 * dayMs + 1_000]) {
    await assert.rejects(tokens.create({ expires: durationFromMs(ms) }), refusedWith(Code.InvalidArgument), `${ms}`);
  }
  for (const ms of [600_000, 365 * dayMs]) await tokens.create({ expires: durationFromMs(ms) });
});

describe("nobody gives away more than they hold", () => {
  test("neither a role, nor a stronger one, nor a single method", async () => {
    const { project, tenant } = await projectOf("ann");
    const viewer = await central.tokenFor("ann", { projectRoles: { [project.uuid]: ProjectRole.VIEWER } });
    const tokens = central.client(TokenService, viewer);
    const denied = [
      { projectRoles: { [project.uuid]: ProjectRole.EDITOR } },
      { projectRoles: { "*": ProjectRole.VIEWER } },
      { tenantRoles: { [tenant]: TenantRole.GUEST } },
      { adminRole: AdminRole.VIEWER },
      { infraRole: InfraRole.VIEWER },
      { machineRoles: { "*": 1 as const } },
      {
        permissions: [
          { visibility: { case: "admin" as const, value: { methods: ["/metalstack.admin.v2.IPService/List"] } } },
        ],
      },
      {
        permissions: [
          {
            visibility: {
              case: "project" as const,
              value: { project: project.uuid, methods: ["/metalstack.api.v2.IPService/Create"] },
            },
          },
        ],
      },
    ];
    for (const request of denied) {
      await assert.rejects(tokens.create(request), refusedWith(Code.PermissionDenied), JSON.stringify(request));
    }
    const { secret } = await tokens.create({
      permissions: [
        {
          visibility: {
            case: "project",
            value: { project: project.uuid, methods: ["/metalstack.api.v2.IPService/List"] },
          },
        },
      ],
    });
    const ips = central.client(IPService, secret);
    assert.deepEqual((await ips.list({ project: project.uuid })).ips, []);
    await assert.rejects(ips.get({ project: project.uuid, ip: "10.0.0.1" }), refusedWith(Code.PermissionDenied));
  });

  test("not by an update either", async () => {
    const { project } = await projectOf("ann");
    const viewer = await central.tokenFor("ann", { projectRoles: { [project.uuid]: ProjectRole.VIEWER } });
    const tokens = central.client(TokenService, viewer);
    const { token } = await tokens.create({ description: "one" });
    const change = { uuid: token!.uuid, projectRoles: { [project.uuid]: ProjectRole.OWNER } };
    await assert.rejects(tokens.update(change), refusedWith(Code.PermissionDenied));
    const updated = await tokens.update({ uuid: token!.uuid, description: "two" });
    assert.equal(updated.token?.description, "two");
  });

  test("a method that does not exist is refused by name", async () => {
    const permissions = [{ visibility: { case: "self" as const, value: { methods: ["/no.Such/Method"] } } }];
    await assert.rejects(central.client(TokenService).create({ permissions }), refusedWith(Code.InvalidArgument));
  });
});

test("a token loses what its owner's membership loses, and a user's token gains what it gains", async () => {
  const { project, tenant } = await projectOf("ann");
  const api = await central.tokenFor("ann", { projectRoles: { [project.uuid]: ProjectRole.EDITOR } });
  const user = await central.tokenFor("bob");
  const list = (token: string) => central.client(IPService, token).list({ project: project.uuid });
  await list(api);
  await assert.rejects(list(user), refusedWith(Code.PermissionDenied));
  const admin = central.client(AdminTenantService);
  await admin.addMember({ tenant, member: "bob", role: TenantRole.OWNER });
  await list(user);
  await admin.removeMember({ tenant, member: "ann" });
  await central
    .client(ProjectService)
    .removeMember({ project: project.uuid, member: "ann" })
    .catch(() => {});
  await central.client(ProjectService).addMember({ project: project.uuid, member: "bob", role: ProjectRole.OWNER });
  await central.client(ProjectService).removeMember({ project: project.uuid, member: "ann" });
  await assert.rejects(list(api), refusedWith(Code.PermissionDenied));
});

test("others' tokens are neither seen nor revoked, except by administrators", async () => {
  const other = await central.identity.issue({ user: "ann", lifetimeMs: hourMs });
  const { uuid } = other.token;
  const bob = central.client(TokenService, await central.tokenFor("bob"));
  await assert.rejects(bob.get({ uuid }), refusedWith(Code.NotFound));
  await assert.rejects(bob.revoke({ uuid }), refusedWith(Code.NotFound));
  await assert.rejects(bob.update({ uuid, description: "x" }), refusedWith(Code.NotFound));
  assert.ok((await bob.list({})).tokens.every((t) => t.user === "bob"));
  const admin = central.client(AdminTokenService);
  assert.ok((await admin.list({ query: { user: "ann" } })).tokens.some((t) => t.uuid === uuid));
  await admin.revoke({ uuid, user: "ann" });
  await assert.rejects(central.client(TokenService, other.secret.reveal()).list({}), refusedWith(Code.Unauthenticated));
});

test("a refreshed token permits the same methods", async () => {
  const permissions = [{ subject: "", methods: ["/metalstack.admin.v2.IPService/List"] }];
  const { secret } = await central.identity.issue({ user: "admin", lifetimeMs: hourMs, permissions });
  const { token } = await central.client(TokenService, secret.reveal()).refresh({});
  assert.deepEqual(
    token?.permissions.map(({ subject, methods }) => ({ subject, methods })),
    permissions,
  );
});

test("a refreshed token has the same roles and the same length of life, counted from now", async () => {
  const roles = { "*": ProjectRole.VIEWER };
  const { token, secret } = await central.identity.issue({ user: "admin", lifetimeMs: hourMs, projectRoles: roles });
  central.clock.advance(hourMs / 2);
  const refreshed = await central.client(TokenService, secret.reveal()).refresh({});
  assert.notEqual(refreshed.token?.uuid, token.uuid);
  assert.deepEqual(refreshed.token?.projectRoles, roles);
  central.clock.advance(hourMs / 2 + 1);
  await central.client(PartitionService, refreshed.secret).list({});
});

test("an agent's token speaks for its partition, and only administrators make one", async () => {
  await central.client(AdminPartitionService).create({ partition: { id: "lab" } });
  const { secret } = await issueAgentToken(central.identity, "lab");
  const caller = await central.identity.callerOf(`Bearer ${secret.reveal()}`);
  assert.equal(caller?.partition, "lab");
  assert.equal(caller?.rights.infraRole, InfraRole.EDITOR);
  await assert.rejects(
    central.client(SwitchService, secret.reveal()).get({ id: "leaf01" }),
    refusedWith(Code.Unimplemented),
  );
  const admin = central.client(AdminTokenService);
  const tokenCreateRequest = create(TokenServiceCreateRequestSchema, { infraRole: InfraRole.EDITOR });
  const made = await admin.create({ user: "partition-agent:lab", tokenCreateRequest });
  assert.equal((await central.identity.callerOf(`Bearer ${made.secret}`))?.partition, "lab");
  const nowhere = admin.create({ user: "partition-agent:nowhere", tokenCreateRequest });
  await assert.rejects(nowhere, refusedWith(Code.NotFound));
});

test("the administrator's token is written once, and again only when it is no good any more", async () => {
  const { state, identity, clock, provider } = central;
  const events: string[] = [];
  const log = { ...silent, info: (event: string) => void events.push(event) };
  const file = memoryFile();
  const ensure = () => ensureAdminToken({ state, identity, clock, log, provider, file });
  await ensure();
  const first = file.text;
  await ensure();
  assert.equal(file.text, first);
  assert.deepEqual(events, ["admin-token-written"]);
  clock.advance(366 * dayMs);
  await ensure();
  assert.notEqual(file.text, first);
  await central.client(AdminTokenService, file.text?.trim()).list({});
});

test("a token's methods can be listed, and a user sees what they belong to", async () => {
  const { project, tenant } = await projectOf("ann");
  const token = await central.tokenFor("ann");
  const { methods } = await central.anonymous(MethodService).list({});
  assert.ok(methods.includes("/metalstack.api.v2.IPService/Get") && methods.length > 150);
  const scoped = await central.client(MethodService, token).tokenScopedList({});
  assert.deepEqual(scoped.projectRoles, { [project.uuid]: ProjectRole.OWNER });
  assert.deepEqual(scoped.tenantRoles, { [tenant]: TenantRole.OWNER });
  assert.ok(!scoped.permissions.some((p) => p.methods.includes("/metalstack.admin.v2.IPService/List")));
  const { user } = await central.client(UserService, token).get({});
  assert.deepEqual([user?.login, user?.tenants.length, user?.projects[0]?.uuid], ["ann", 1, project.uuid]);
});

describe("what a token was for is deleted:", () => {
  test("its grants are void at once, and for another thing of that name as well", async () => {
    const admin = central.client(AdminTenantService);
    const { tenant } = await admin.create({ name: "acme" });
    const login = tenant!.login;
    const secret = await central.tokenFor("admin", { tenantRoles: { [login]: TenantRole.OWNER } });
    const get = () => central.client(TenantService, secret).get({ login });
    await get();
    await central.client(TenantService).delete({ login });
    await assert.rejects(get(), refusedWith(Code.PermissionDenied));
    await admin.create({ name: "acme" });
    await assert.rejects(get(), refusedWith(Code.PermissionDenied));
    const tokens = central.client(TokenService, secret);
    await tokens.update({ uuid: decodeJwt(secret).jti ?? "", description: "changed" });
    await assert.rejects(get(), refusedWith(Code.PermissionDenied));
    const refreshed = await tokens.refresh({});
    assert.deepEqual(refreshed.token?.tenantRoles, {});
  });

  test("an agent's token is not good for another partition of that name", async () => {
    const partitions = central.client(AdminPartitionService);
    await partitions.create({ partition: { id: "lab" } });
    const { secret } = await issueAgentToken(central.identity, "lab");
    const agent = () => central.identity.callerOf(`Bearer ${secret.reveal()}`);
    assert.equal((await agent())?.partition, "lab");
    await partitions.delete({ id: "lab" });
    await partitions.create({ partition: { id: "lab" } });
    await assert.rejects(agent(), (e) => e instanceof Refusal && e.reason === "PARTITION_MADE_ANEW");
  });

  test("a token for nothing else is revoked, one for more is kept for the rest", async () => {
    const { project, tenant } = await projectOf("ann");
    const stop = new AbortController();
    const kept = central.identity.keep(silent, stop.signal);
    const list = "/metalstack.api.v2.IPService/List";
    const only = await central.tokenFor("ann", { permissions: [{ subject: project.uuid, methods: [list] }] });
    const both = await central.tokenFor("ann", {
      projectRoles: { [project.uuid]: ProjectRole.VIEWER },
      tenantRoles: { [tenant]: TenantRole.VIEWER },
    });
    await central.client(IPService, only).list({ project: project.uuid });
    await central.client(ProjectService).delete({ project: project.uuid });
    const isRevoked = (t: string) => central.state.get(kinds.token, `${decodeJwt(t).jti}`)?.value.revoked ?? true;
    await until("the token is revoked", () => isRevoked(only));
    await assert.rejects(central.client(TokenService, only).list({}), refusedWith(Code.Unauthenticated));
    assert.equal((await central.client(TenantService, both).get({ login: tenant })).tenant?.login, tenant);
    await assert.rejects(
      central.client(IPService, both).list({ project: project.uuid }),
      refusedWith(Code.PermissionDenied),
    );
    stop.abort();
    await kept;
  });
});

test("all of one's memberships can be given away by *, and are worth what they are at each call", async () => {
  const { project } = await projectOf("ann");
  const list = "/metalstack.api.v2.IPService/List";
  const tokens = central.client(TokenService, await central.tokenFor("ann"));
  const permissions = [{ visibility: { case: "project" as const, value: { project: "*", methods: [list] } } }];
  const roles = await tokens.create({ projectRoles: { "*": ProjectRole.VIEWER } });
  const single = await tokens.create({ permissions });
  const strange = await projectOf("bob");
  for (const { secret } of [roles, single]) {
    const ips = central.client(IPService, secret);
    await ips.list({ project: project.uuid });
    await assert.rejects(ips.list({ project: strange.project.uuid }), refusedWith(Code.PermissionDenied));
  }
  const narrower = central.client(TokenService, roles.secret);
  await assert.rejects(
    narrower.create({ projectRoles: { "*": ProjectRole.EDITOR } }),
    refusedWith(Code.PermissionDenied),
  );
  await assert.rejects(tokens.create({ machineRoles: { "*": 2 as const } }), refusedWith(Code.PermissionDenied));
  const boot = { case: "machine" as const, value: { uuid: "*", methods: ["/metalstack.infra.v2.BootService/Wait"] } };
  await assert.rejects(tokens.create({ permissions: [{ visibility: boot }] }), refusedWith(Code.PermissionDenied));
});

test("one user has so many tokens and no more, until some are revoked", async () => {
  const first = await central.identity.issue({ user: "ann", lifetimeMs: hourMs });
  for (let count = 1; count < userTokensMax; count += 111) {
    await central.state.transact((tx) => {
      for (let i = count; i < count + 111; i++) {
        tx.put(kinds.token, `t${i}`, create(StoredTokenSchema, { token: { uuid: `t${i}`, user: "ann" } }));
      }
    });
  }
  const more = () => central.identity.issue({ user: "ann", lifetimeMs: hourMs });
  await assert.rejects(more(), (e) => e instanceof Refusal && e.code === "exhausted" && e.reason === "TOKENS_MAX");
  await central.identity.issue({ user: "bob", lifetimeMs: hourMs });
  await central.identity.revoke(first.token.uuid, "ann");
  await more();
});

describe("a further token for an administrator", () => {
  test("opens everything, for an owner of the provider's tenant", async () => {
    const { secret } = await furtherAdminToken(central, { user: "admin", lifetimeMs: hourMs });
    await central.client(AdminTokenService, secret.reveal()).list({});
  });

  test("is refused to anybody else", async () => {
    const made = furtherAdminToken(central, { user: "ann", lifetimeMs: hourMs });
    await assert.rejects(made, (e) => e instanceof Refusal && e.reason === "NO_ADMINISTRATOR");
  });
});

test("the first administrator gets no new token once others run the installation", async () => {
  const { state, identity, clock, provider } = central;
  const admin = central.client(AdminTenantService);
  await admin.addMember({ tenant: provider, member: "ann", role: TenantRole.OWNER });
  await admin.removeMember({ tenant: provider, member: "admin" });
  const file = memoryFile();
  await ensureAdminToken({ state, identity, clock, log: silent, provider, file });
  assert.equal(file.text, undefined);
});
