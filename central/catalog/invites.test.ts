import assert from "node:assert/strict";
import { afterEach, beforeEach, describe, test } from "node:test";
import { clone } from "@bufbuild/protobuf";
import { Code, ConnectError } from "@connectrpc/connect";
import { ErrorInfoSchema } from "#gen/google/rpc/error_details_pb.ts";
import { TenantService as AdminTenantService } from "#gen/metalstack/admin/v2/tenant_pb.ts";
import { ProjectRole, TenantRole } from "#gen/metalstack/api/v2/common_pb.ts";
import { ProjectService } from "#gen/metalstack/api/v2/project_pb.ts";
import { TenantService } from "#gen/metalstack/api/v2/tenant_pb.ts";
import { UserService } from "#gen/metalstack/api/v2/user_pb.ts";
import { dayMs } from "#lib/durations.ts";
import { kinds } from "../store/kinds.ts";
import { type TestCentral, testCentral } from "../testing/central.ts";

let central: TestCentral;
let project: string;
beforeEach(async () => {
  central = await testCentral();
  await central.client(AdminTenantService).create({ name: "acme" });
  const made = await central.client(ProjectService).create({ login: "acme", name: "p1", description: "" });
  project = made.project!.uuid;
});
afterEach(() => central.close());

const refused = (code: Code, reason: string) => (error: unknown) =>
  error instanceof ConnectError &&
  error.code === code &&
  error.findDetails(ErrorInfoSchema).some((info) => info.reason === reason);
const tenants = async (who?: string) => central.client(TenantService, who && (await central.tokenFor(who)));
const projects = async (who?: string) => central.client(ProjectService, who && (await central.tokenFor(who)));
const invited = async (role: TenantRole = TenantRole.EDITOR) => {
  const { invite } = await (await tenants()).invite({ login: "acme", role });
  return invite!;
};

describe("an invitation to a tenant", () => {
  test("has a secret of 32 characters, ends after 7 days, and says what it is to", async () => {
    const { secret, ...invite } = await invited();
    assert.match(secret, /^[0-9a-f]{32}$/);
    assert.equal(Number(invite.expiresAt?.seconds) * 1000 - central.clock.wallMs(), 7 * dayMs);
    const seen = (await (await tenants("ann")).inviteGet({ secret })).invite;
    assert.deepEqual(
      [seen?.targetTenant, seen?.targetTenantName, seen?.role, seen?.tenant, seen?.joined],
      ["acme", "acme", TenantRole.EDITOR, "admin", false],
    );
  });

  test("makes a member of whoever accepts it first, and is used up by that", async () => {
    const { secret } = await invited();
    const accepted = await (await tenants("ann")).inviteAccept({ secret });
    assert.deepEqual([accepted.tenant, accepted.tenantName], ["acme", "acme"]);
    const { tenantMembers } = await (await tenants("ann")).get({ login: "acme" });
    assert.equal(tenantMembers.find((m) => m.id === "ann")?.role, TenantRole.EDITOR);
    await assert.rejects((await tenants("bob")).inviteAccept({ secret }), refused(Code.NotFound, "INVITE_NOT_FOUND"));
    await assert.rejects((await tenants("bob")).inviteGet({ secret }), refused(Code.NotFound, "INVITE_NOT_FOUND"));
  });

  test("has one taker, however many try at once", async () => {
    const { secret } = await invited();
    const clients = await Promise.all(["ann", "bob", "eve"].map(tenants));
    const tried = await Promise.allSettled(clients.map((client) => client.inviteAccept({ secret })));
    assert.equal(tried.filter((t) => t.status === "fulfilled").length, 1);
    assert.equal(central.state.list(kinds.tenantMember).filter((row) => row.id.startsWith("acme/")).length, 2);
  });

  test("is kept when its taker is a member already", async () => {
    const { secret } = await invited();
    await assert.rejects((await tenants()).inviteAccept({ secret }), refused(Code.AlreadyExists, "EXISTS"));
    await (await tenants("ann")).inviteAccept({ secret });
  });

  test("is worthless after its time, and when it is deleted", async () => {
    const { secret } = await invited();
    central.clock.advance(7 * dayMs);
    await assert.rejects((await tenants("ann")).inviteGet({ secret }), refused(Code.NotFound, "INVITE_NOT_FOUND"));
    assert.deepEqual((await (await tenants()).invitesList({ login: "acme" })).invites, []);
    const other = await invited();
    await central.client(AdminTenantService).create({ name: "other" });
    const elsewhere = (await tenants()).inviteDelete({ login: "other", secret: other.secret });
    await assert.rejects(elsewhere, refused(Code.NotFound, "INVITE_NOT_FOUND"));
    await (await tenants()).inviteDelete({ login: "acme", secret: other.secret });
    const late = (await tenants("ann")).inviteAccept({ secret: other.secret });
    await assert.rejects(late, refused(Code.NotFound, "INVITE_NOT_FOUND"));
  });

  test("is for owners to make and to see", async () => {
    await central.client(AdminTenantService).addMember({ tenant: "acme", member: "ed", role: TenantRole.EDITOR });
    const ed = await tenants("ed");
    const isDenied = (error: unknown) => error instanceof ConnectError && error.code === Code.PermissionDenied;
    await assert.rejects(ed.invite({ login: "acme", role: TenantRole.VIEWER }), isDenied);
    await assert.rejects(ed.invitesList({ login: "acme" }), isDenied);
  });

  test("is not made to what is being deleted", async () => {
    await central.state.transact((tx) => {
      const going = clone(kinds.tenant.schema, tx.get(kinds.tenant, "acme")!);
      going.meta!.deletionTaskId = "tenant:delete";
      tx.put(kinds.tenant, "acme", going);
    });
    await assert.rejects(invited(), refused(Code.FailedPrecondition, "BEING_DELETED"));
  });

  test("is one of a hundred at most, and wants a role", async () => {
    for (let i = 0; i < 100; i++) await invited();
    await assert.rejects(invited(), refused(Code.ResourceExhausted, "INVITES_OPEN"));
    const { invites } = await (await tenants()).invitesList({ login: "acme" });
    await (await tenants()).inviteDelete({ login: "acme", secret: invites[0]!.secret });
    await invited();
    await assert.rejects(
      invited(TenantRole.UNSPECIFIED),
      (e) => e instanceof ConnectError && e.code === Code.InvalidArgument,
    );
  });
});

describe("an invitation to a project", () => {
  const invite = async (role: ProjectRole = ProjectRole.VIEWER) =>
    (await (await projects()).invite({ project, role })).invite!;

  test("makes a member of the project, who is a guest of its tenant", async () => {
    const { secret, projectName, tenant, tenantName } = await invite();
    assert.deepEqual([projectName, tenant, tenantName], ["p1", "acme", "acme"]);
    const ann = await projects("ann");
    assert.equal((await ann.inviteGet({ secret })).invite?.project, project);
    assert.equal((await ann.inviteAccept({ secret })).projectName, "p1");
    assert.equal((await ann.get({ project })).project?.name, "p1");
    const { tenantMembers } = await (await tenants("ann")).get({ login: "acme" });
    assert.deepEqual(
      tenantMembers.map((m) => [m.id, m.role, m.projects]),
      [
        ["admin", TenantRole.OWNER, [project]],
        ["ann", TenantRole.GUEST, [project]],
      ],
    );
    const { user } = await central.client(UserService, await central.tokenFor("ann")).get({});
    assert.deepEqual([user?.tenants.map((t) => t.login), user?.projects.map((p) => p.uuid)], [["acme"], [project]]);
    const other = await (await projects()).create({ login: "acme", name: "p2", description: "" });
    await assert.rejects(
      ann.get({ project: other.project!.uuid }),
      (e) => e instanceof ConnectError && e.code === Code.PermissionDenied,
    );
    await ann.leave({ project });
    assert.deepEqual((await (await tenants("ann")).list({})).tenants, []);
  });

  test("goes with its project", async () => {
    const { secret } = await invite();
    await (await projects()).delete({ project });
    assert.deepEqual(central.state.list(kinds.projectInvite), []);
    await assert.rejects((await projects("ann")).inviteAccept({ secret }), refused(Code.NotFound, "INVITE_NOT_FOUND"));
  });

  test("is not for agents", async () => {
    const { secret } = await invite();
    const agent = (await projects("partition-agent:p1")).inviteAccept({ secret });
    await assert.rejects(agent, refused(Code.PermissionDenied, "NO_PERSON"));
  });
});
