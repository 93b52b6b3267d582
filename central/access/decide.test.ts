import assert from "node:assert/strict";
import { describe, test } from "node:test";
import type { DescMethod } from "@bufbuild/protobuf";
import { AdminRole, InfraRole, MachineRole, ProjectRole, TenantRole } from "#gen/metalstack/api/v2/common_pb.ts";
import { TokenType } from "#gen/metalstack/api/v2/token_pb.ts";
import { services } from "../services.ts";
import type { Caller } from "./caller.ts";
import { decide } from "./decide.ts";
import { bounded, type Grants, type Rights, rightsOf, unboundedRights } from "./rights.ts";
import { methodName, noSubject, type Rule, ruleOf, type Subject, subjectFields } from "./rule.ts";

const project = "0f86b3b0-5a8c-4a0e-9d5a-3a0f6a0f9d11";
const machine = "30363d61-40ad-4d2b-a5a1-7a3a1f1f7b0c";
const about: Subject = { project, tenant: "acme", machine };
const elsewhere: Subject = { project: "another", tenant: "other", machine: "another" };

const callerWith = (grants: Grants, owner: Rights = unboundedRights): Caller => ({
  user: "u",
  token: "t",
  tokenType: TokenType.API,
  rights: rightsOf(grants),
  owner,
  partition: undefined,
});

const methods = services.flatMap((s): DescMethod[] => s.methods);
const named = (name: string): Rule => {
  const method = methods.find((m) => methodName(m) === name);
  assert.ok(method, name);
  return ruleOf(method);
};

/** Every role that there is, granted for the subject, and the roles of a rule that it should satisfy. */
const roles: readonly {
  readonly name: string;
  readonly grants: Grants;
  readonly satisfies: (rule: Rule) => boolean;
}[] = [
  { name: "none", grants: {}, satisfies: () => false },
  ...[ProjectRole.OWNER, ProjectRole.EDITOR, ProjectRole.VIEWER].map((role) => ({
    name: `project ${role}`,
    grants: { projectRoles: { [project]: role } },
    satisfies: (rule: Rule) => rule.projectRoles.includes(role),
  })),
  ...[TenantRole.OWNER, TenantRole.EDITOR, TenantRole.VIEWER, TenantRole.GUEST].map((role) => ({
    name: `tenant ${role}`,
    grants: { tenantRoles: { acme: role } },
    satisfies: (rule: Rule) => rule.tenantRoles.includes(role),
  })),
  ...[AdminRole.EDITOR, AdminRole.VIEWER].map((adminRole) => ({
    name: `admin ${adminRole}`,
    grants: { adminRole },
    satisfies: (rule: Rule) => rule.adminRoles.includes(adminRole),
  })),
  ...[InfraRole.EDITOR, InfraRole.VIEWER].map((infraRole) => ({
    name: `infra ${infraRole}`,
    grants: { infraRole },
    satisfies: (rule: Rule) => rule.infraRoles.includes(infraRole),
  })),
  ...[MachineRole.EDITOR, MachineRole.VIEWER].map((role) => ({
    name: `machine ${role}`,
    grants: { machineRoles: { [machine]: role } },
    satisfies: (rule: Rule) => rule.machineRoles.includes(role),
  })),
];

describe("every method lets in exactly the roles that its options name", () => {
  for (const method of methods) {
    test(methodName(method), () => {
      const rule = ruleOf(method);
      for (const { name, grants, satisfies } of roles) {
        const expected = rule.isPublic || rule.isSelf || satisfies(rule);
        assert.equal(decide(rule, callerWith(grants), about).allowed, expected, name);
      }
      const anonymous = decide(rule, undefined, about);
      assert.equal(anonymous.allowed, rule.isPublic);
      if (!anonymous.allowed) assert.equal(anonymous.code, "unauthenticated");
    });

    test(`${methodName(method)} does not take a role for another subject`, () => {
      const rule = ruleOf(method);
      const scoped = callerWith({
        projectRoles: { [project]: ProjectRole.OWNER },
        tenantRoles: { acme: TenantRole.OWNER },
        machineRoles: { [machine]: MachineRole.EDITOR },
      });
      for (const subject of [elsewhere, noSubject]) {
        assert.equal(decide(rule, scoped, subject).allowed, rule.isPublic || rule.isSelf);
      }
    });
  }
});

test("every method that asks for a role over something names that thing in its request", () => {
  for (const method of methods) {
    const rule = ruleOf(method);
    const has = (names: readonly string[]) => method.input.fields.some((f) => names.includes(f.name));
    if (rule.projectRoles.length > 0) assert.ok(has(subjectFields.project), rule.method);
    if (rule.tenantRoles.length > 0) assert.ok(has(subjectFields.tenant), rule.method);
    if (rule.machineRoles.length > 0) assert.ok(has(subjectFields.machine), rule.method);
  }
});

test("every method has a rule that lets somebody in", () => {
  for (const method of methods) {
    const rule = ruleOf(method);
    const opens = roles.some(({ grants }) => decide(rule, callerWith(grants), about).allowed);
    assert.ok(opens, rule.method);
  }
});

const allGrants: Grants = {
  projectRoles: { "*": ProjectRole.OWNER },
  tenantRoles: { "*": TenantRole.OWNER },
  adminRole: AdminRole.EDITOR,
  infraRole: InfraRole.EDITOR,
  machineRoles: { "*": MachineRole.EDITOR },
};

test("without a rule, and with a rule that names nothing, nobody is let in", () => {
  const empty: Rule = { ...named("/metalstack.api.v2.IPService/Get"), projectRoles: [] };
  for (const rule of [undefined, empty]) {
    assert.equal(decide(rule, callerWith(allGrants), about).allowed, false);
    assert.equal(decide(rule, undefined, about).allowed, false);
  }
});

test("the names of JavaScript's own properties are no subjects that anybody has a role for", () => {
  const rule = named("/metalstack.api.v2.IPService/Get");
  for (const name of ["constructor", "__proto__", "toString"]) {
    const caller = callerWith({ projectRoles: { [project]: ProjectRole.OWNER } });
    assert.equal(decide(rule, caller, { ...noSubject, project: name }).allowed, false);
  }
});

describe("a permission for a single method", () => {
  const get = "/metalstack.api.v2.IPService/Get";
  const list = "/metalstack.admin.v2.IPService/List";
  const permission = (subject: string, ...methods: string[]) => ({ permissions: [{ subject, methods }] });

  test("opens that method for that subject and no other", () => {
    const caller = callerWith(permission(project, get));
    assert.ok(decide(named(get), caller, about).allowed);
    assert.ok(!decide(named(get), caller, elsewhere).allowed);
    assert.ok(!decide(named("/metalstack.api.v2.IPService/List"), caller, about).allowed);
  });

  test("for all subjects opens it for each, but not for none", () => {
    const caller = callerWith(permission("*", get));
    assert.ok(decide(named(get), caller, elsewhere).allowed);
    assert.ok(!decide(named(get), caller, noSubject).allowed);
  });

  test("is void once the owner's membership would not do", () => {
    const owner = rightsOf({ projectRoles: { [project]: ProjectRole.VIEWER } });
    const caller = callerWith(permission("*", get, "/metalstack.api.v2.IPService/Create", list), owner);
    assert.ok(decide(named(get), caller, about).allowed);
    assert.ok(!decide(named("/metalstack.api.v2.IPService/Create"), caller, about).allowed);
    assert.ok(!decide(named(get), caller, elsewhere).allowed);
    assert.ok(!decide(named(list), callerWith(permission("", list), owner), noSubject).allowed);
  });

  test("about nothing in particular opens administrators' and infrastructure's methods", () => {
    assert.ok(decide(named(list), callerWith(permission("", list)), noSubject).allowed);
    const heartbeat = "/metalstack.infra.v2.SwitchService/Heartbeat";
    assert.ok(decide(named(heartbeat), callerWith(permission("", heartbeat), rightsOf({})), noSubject).allowed);
    assert.ok(!decide(named(get), callerWith(permission("", get)), about).allowed);
  });
});

test("a token is worth no more than its owner's roles, and no more than its own", () => {
  const owner = rightsOf({ projectRoles: { p: ProjectRole.VIEWER, q: ProjectRole.OWNER } });
  const token = rightsOf({ projectRoles: { "*": ProjectRole.EDITOR }, adminRole: AdminRole.EDITOR });
  const rights = bounded(token, owner);
  assert.equal(rights.projectRole("p"), ProjectRole.VIEWER);
  assert.equal(rights.projectRole("q"), ProjectRole.EDITOR);
  assert.equal(rights.projectRole("r"), ProjectRole.UNSPECIFIED);
  assert.equal(rights.adminRole, AdminRole.UNSPECIFIED);
});
