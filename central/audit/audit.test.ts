import assert from "node:assert/strict";
import { afterEach, beforeEach, describe, test } from "node:test";
import { create } from "@bufbuild/protobuf";
import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import { Code, ConnectError, createClient } from "@connectrpc/connect";
import { createConnectTransport } from "@connectrpc/connect-node";
import { parsePrefixes } from "#domain/network/rules.ts";
import { AuditService as AdminAuditService } from "#gen/metalstack/admin/v2/audit_pb.ts";
import { TenantService as AdminTenantService } from "#gen/metalstack/admin/v2/tenant_pb.ts";
import { AuditPhase, AuditService, type AuditTrace, AuditTraceSchema } from "#gen/metalstack/api/v2/audit_pb.ts";
import { TenantRole } from "#gen/metalstack/api/v2/common_pb.ts";
import { MethodService } from "#gen/metalstack/api/v2/method_pb.ts";
import { ProjectService } from "#gen/metalstack/api/v2/project_pb.ts";
import { TenantMemberSchema, TenantService } from "#gen/metalstack/api/v2/tenant_pb.ts";
import { TokenService } from "#gen/metalstack/api/v2/token_pb.ts";
import { VersionService } from "#gen/metalstack/api/v2/version_pb.ts";
import { dayMs, hourMs } from "#lib/durations.ts";
import { listen } from "#lib/io/one-port.ts";
import { callerAddress } from "../access/caller-address.ts";
import { membershipId } from "../identity/membership.ts";
import { Lines } from "../io/testing/state-rehearsal.ts";
import { kinds } from "../store/kinds.ts";
import { type TestCentral, testCentral } from "../testing/central.ts";
import { refusedBounds } from "./interceptor.ts";
import { traceLabels } from "./trace.ts";

let central: TestCentral;
let log: Lines;
let ann: string;
let bob: string;
beforeEach(async () => {
  log = new Lines();
  central = await testCentral(() => [], { log, retention: { keepMs: 14 * dayMs, bytesMax: 10_000_000 } });
  for (const name of ["ann", "bob"]) await central.client(AdminTenantService).create({ name });
  await central.state.transact((tx) => {
    for (const login of ["ann", "bob"]) {
      const owner = create(TenantMemberSchema, { id: login, role: TenantRole.OWNER });
      tx.put(kinds.tenantMember, membershipId(login, login), owner);
    }
  });
  ann = await central.tokenFor("ann");
  bob = await central.tokenFor("bob");
});
afterEach(() => central.close());

const refused = (code: Code) => (error: unknown) => error instanceof ConnectError && error.code === code;
const stored = () => central.recorder!.finish();
const all = async (query: object = {}) => {
  await stored();
  return (await central.client(AdminAuditService).list({ query })).traces;
};
const own = async (login: string, token: string, query: object = {}) => {
  await stored();
  return (await central.client(AuditService, token).list({ login, query })).traces;
};
const words = ({ method, phase, resultCode, user, tenant }: AuditTrace) =>
  `${method.split("/").at(-1)} ${AuditPhase.REQUEST === phase ? "asked" : resultCode} by ${user || "-"} in ${tenant || "-"}`;

describe("an audited call", () => {
  test("has two traces: who asked for what when, and how it ended and how long it took", async () => {
    await central
      .client(TenantService, ann)
      .update({ login: "ann", description: "new", updateMeta: { lockingStrategy: 2 } });
    const [answer, request] = await all({ method: "/metalstack.api.v2.TenantService/Update" });
    assert.deepEqual([words(request!), words(answer!)], ["Update asked by ann in ann", "Update 0 by ann in ann"]);
    assert.equal(request!.uuid, answer!.uuid);
    assert.equal(JSON.parse(request!.body!).description, "new");
    assert.equal(JSON.parse(answer!.body!).tenant.description, "new");
    const labels = answer!.meta!.labels!.labels;
    assert.equal(labels[traceLabels.roles], "tenant OWNER");
    assert.ok(central.state.get(kinds.token, labels[traceLabels.token]!), "the token is named");
    assert.equal(labels[traceLabels.duration], "0");
  });

  test("that fails has its code and text, and one that its option excludes has no trace", async () => {
    await central.client(TenantService, ann).get({ login: "ann" });
    await central.anonymous(VersionService).get({});
    const unknown = { project: "0f86b3b0-5a8c-4a0e-9d5a-3a0f6a0f9d11" };
    const admin = await central.tokenFor("admin", { projectRoles: { "*": 1 }, adminRole: 1 });
    await assert.rejects(central.client(ProjectService, admin).delete(unknown), refused(Code.NotFound));
    const traces = await all({ from: timestampFromMs(central.clock.wallMs() - 1), project: unknown.project });
    assert.deepEqual(traces.map(words), [`Delete ${Code.NotFound} by admin in -`, "Delete asked by admin in -"]);
    assert.equal(JSON.parse(traces[0]!.body!).code, "NotFound");
    const methods = (await all()).map((t) => t.method);
    assert.ok(!methods.some((m) => /VersionService|TenantService\/Get/.test(m)), `${methods}`);
  });

  test("whose request breaks the rules is written down too", async () => {
    await assert.rejects(
      central.client(TenantService, ann).update({ login: "ann", email: "no address" }),
      refused(Code.InvalidArgument),
    );
    const traces = await all({ user: "ann" });
    assert.deepEqual(traces.map(words), [`Update ${Code.InvalidArgument} by ann in ann`, "Update asked by ann in ann"]);
  });

  test("over a socket says where it came from: the peer, or whom a trusted proxy names", async () => {
    const trusted = parsePrefixes(["127.0.0.1/32"]);
    assert.ok(trusted.ok);
    const tables = [
      { trusted: trusted.value, source: "198.51.100.7" },
      { trusted: [], source: "127.0.0.1" },
    ];
    for (const { trusted, source } of tables) {
      const from = (peer: string, forwardedFor?: string) => callerAddress(trusted, peer, forwardedFor);
      const port = await listen({ ...central.api, callerAddress: from, log }, { host: "127.0.0.1", port: 0 });
      const transport = createConnectTransport({ baseUrl: `http://127.0.0.1:${port.port}`, httpVersion: "1.1" });
      await createClient(TenantService, transport).update(
        { login: "ann", description: source, updateMeta: { lockingStrategy: 2 } },
        { headers: { authorization: `Bearer ${ann}`, "x-forwarded-for": "203.0.113.9, 198.51.100.7" } },
      );
      await port.stop();
      const traces = await all({ method: "/metalstack.api.v2.TenantService/Update", body: source });
      assert.deepEqual(new Set(traces.map(({ sourceIp }) => sourceIp)), new Set([source]));
    }
  });

  test("that makes a token shows it to nobody", async () => {
    const { secret } = await central
      .client(TokenService, ann)
      .create({ description: "mine", expires: { seconds: 3600n } });
    const traces = await own("ann", ann);
    assert.deepEqual(traces.map(words), ["Create 0 by ann in ann", "Create asked by ann in ann"]);
    assert.equal(JSON.parse(traces[0]!.body!).secret, "***");
    for (const { body } of traces) assert.ok(!body!.includes(secret.slice(0, 20)));
  });
});

describe("a call that is refused", () => {
  test("is written down with who it was, and in nobody's own view", async () => {
    await assert.rejects(central.client(TenantService, bob).delete({ login: "ann" }), refused(Code.PermissionDenied));
    await assert.rejects(central.anonymous(TenantService).delete({ login: "ann" }), refused(Code.Unauthenticated));
    const traces = await all({ method: "/metalstack.api.v2.TenantService/Delete" });
    assert.deepEqual(
      new Set(traces.map(words)),
      new Set([
        `Delete ${Code.PermissionDenied} by bob in -`,
        "Delete asked by bob in -",
        `Delete ${Code.Unauthenticated} by - in -`,
        "Delete asked by - in -",
      ]),
    );
    assert.deepEqual(await own("ann", ann), []);
    assert.deepEqual(await own("bob", bob), []);
  });

  test("and calls without a token are written down up to a bound in each minute, and the log says how many were not", async () => {
    const call = () => central.anonymous(MethodService).list({});
    for (let n = 0; n < refusedBounds.source + 5; n++) await call();
    const method = "/metalstack.api.v2.MethodService/List";
    assert.equal((await all({ method, limit: 1000 })).length, refusedBounds.source * 2);
    central.clock.advance(60_000);
    await call();
    assert.equal((await all({ method, limit: 1000 })).length, refusedBounds.source * 2 + 2);
    const said = log.lines.filter((line) => line.event === "audit-refused-calls-left-out");
    assert.deepEqual(
      said.map((line) => line.fields),
      [{ calls: 5 }],
    );
  });
});

describe("a tenant's own view", () => {
  test("has what was done in the tenant and its projects, and nothing of others", async () => {
    const made = await central.client(ProjectService, ann).create({ login: "ann", name: "web", description: "d" });
    const project = made.project!.uuid;
    await central.client(ProjectService, ann).delete({ project });
    await central.client(ProjectService, bob).create({ login: "bob", name: "shop", description: "d" });
    assert.deepEqual((await own("ann", ann)).map(words).sort(), [
      "Create 0 by ann in ann",
      "Create asked by ann in ann",
      "Delete 0 by ann in ann",
      "Delete asked by ann in ann",
    ]);
    const theirs = await own("bob", bob);
    assert.deepEqual(theirs.map(words).sort(), ["Create 0 by bob in bob", "Create asked by bob in bob"]);
    const get = (login: string, token: string, more: object = {}) =>
      central.client(AuditService, token).get({ login, uuid: theirs[0]!.uuid, ...more });
    assert.equal((await get("bob", bob)).trace?.phase, AuditPhase.REQUEST);
    assert.equal((await get("bob", bob, { phase: AuditPhase.RESPONSE })).trace?.resultCode, 0);
    await assert.rejects(get("ann", ann), refused(Code.NotFound));
    await assert.rejects(own("bob", ann), refused(Code.PermissionDenied));
    assert.deepEqual(await own("ann", ann, { user: "bob" }), []);
  });

  test("has nothing of a tenant of the same login that was there before", async () => {
    const at = central.clock.wallMs();
    await put("ann", at - 1, 1);
    await put("ann", at + 1, 2);
    central.clock.advance(10);
    assert.deepEqual(
      (await own("ann", ann)).map((t) => t.uuid),
      [id(2)],
    );
  });
});

const id = (n: number) => `00000000-0000-4000-8000-${`${n}`.padStart(12, "0")}`;
const trace = (tenant: string, atMs: number, n: number) =>
  create(AuditTraceSchema, {
    uuid: id(n),
    timestamp: timestampFromMs(atMs),
    user: `user-${n}`,
    tenant,
    method: "/m",
    sourceIp: `10.0.0.${n}`,
    resultCode: n,
    body: `{"n":"text-${n}"}`,
    phase: AuditPhase.RESPONSE,
  });
const put = async (tenant: string, atMs: number, n: number) => {
  central.recorder!.record(trace(tenant, atMs, n));
  await stored();
};

describe("the administrators' view", () => {
  test("has what people did on site, with their partition", async () => {
    await central.state.transact((tx) => {
      tx.put(kinds.siteAudit, `lab/${id(7)}/2`, trace("ann", central.clock.wallMs(), 7));
    });
    const [found] = await all({ user: "user-7" });
    assert.equal(found?.meta?.labels?.labels[traceLabels.partition], "lab");
    const got = await central.client(AdminAuditService).get({ uuid: id(7), phase: AuditPhase.RESPONSE });
    assert.equal(got.trace?.user, "user-7");
    await assert.rejects(central.client(AdminAuditService).get({ uuid: id(7) }), refused(Code.NotFound));
    assert.deepEqual(await own("ann", ann), [], "what an agent says of a tenant is no tenant's");
  });

  test("is searched by every field of the query, newest first, eight hours back unless said otherwise", async () => {
    const now = central.clock.wallMs();
    for (let n = 1; n <= 5; n++) await put("t", now - n * 3 * hourMs, n);
    const ids = async (query: object) => (await all({ method: "/m", ...query })).map((t) => Number(t.uuid.slice(-2)));
    const from = timestampFromMs(now - dayMs);
    const table: readonly [object, readonly number[]][] = [
      [{}, [1, 2]],
      [{ from }, [1, 2, 3, 4, 5]],
      [{ from, limit: 2 }, [1, 2]],
      [{ from, to: timestampFromMs(now - 7 * hourMs) }, [3, 4, 5]],
      [{ from, user: "user-4" }, [4]],
      [{ from, sourceIp: "10.0.0.3" }, [3]],
      [{ from, resultCode: 2 }, [2]],
      [{ from, body: "text-5" }, [5]],
      [{ from, phase: AuditPhase.REQUEST }, []],
      [{ from, project: id(9) }, []],
      [{ from, method: "/n" }, []],
      [{ uuid: id(5) }, [5]],
      [{ from: timestampFromMs(0), to: timestampFromMs(1) }, []],
    ];
    for (const [query, expected] of table)
      assert.deepEqual(
        await ids(query),
        expected,
        JSON.stringify(query, (_, v) => `${v}`),
      );
  });

  test("does not repeat the records in the record of a look at them", async () => {
    await all();
    const looks = await all({ method: "/metalstack.admin.v2.AuditService/List", phase: AuditPhase.RESPONSE });
    assert.deepEqual(
      looks.map((t) => t.body),
      [undefined],
    );
  });
});
