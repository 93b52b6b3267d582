import assert from "node:assert/strict";
import { after, before, beforeEach, describe, test } from "node:test";
import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import { AuditPhase } from "#gen/metalstack/api/v2/audit_pb.ts";
import { fake, holdfast, project, reset, start, startMs, stop, uuid } from "../testing/rehearsal.ts";
import { parseCode, parseWhen } from "./audit.ts";

before(start);
beforeEach(reset);
after(stop);

/** The call that was made, and the query in it without what protobuf adds. */
function asked() {
  const [first, ...more] = fake.asked;
  assert.ok(first && more.length === 0);
  const { query, login } = first.request as { readonly query: { readonly $typeName: string }; readonly login?: string };
  const { $typeName: _, ...plain } = query;
  return { method: first.method, login, query: plain };
}

describe("holdfast audit list", () => {
  test("shows each call as one line: who, what, how it ended, on which site", async () => {
    const ran = await holdfast(["audit", "list"]);
    assert.equal(
      ran.out,
      [
        "TIME                      WHO         CALL                  RESULT    SITE  ID",
        `2026-01-01T00:00:00.000Z  site:alice  SiteService/OrderBmc  NotFound  lab   ${uuid}`,
        "",
      ].join("\n"),
    );
    assert.deepEqual(asked(), {
      method: "admin.v2.AuditService/List",
      login: undefined,
      query: { limit: 200 },
    });
    const wide = await holdfast(["audit", "list", "-o", "wide"]);
    assert.match(wide.out, / 10\.0\.0\.9 +\{"error":"no machine/);
  });

  test("asks for all that the query has", async () => {
    const method = "metalstack.api.v2.IPService/Create";
    const flags = [
      "--user",
      "ann",
      "-p",
      project,
      "--method",
      method,
      "--address",
      "10.0.0.1",
      "--code",
      "permissiondenied",
    ];
    const more = ["--body", "web", "--from", "2d", "--to", "2025-12-31", "--phase", "response", "--limit", "7"];
    const ran = await holdfast(["audit", "list", ...flags, ...more]);
    assert.equal(ran.code, 0, ran.err);
    assert.deepEqual(asked().query, {
      ...{ user: "ann", project, method: `/${method}`, sourceIp: "10.0.0.1", resultCode: 7, body: "web" },
      from: timestampFromMs(startMs - 2 * 86_400_000),
      to: timestampFromMs(startMs - 86_400_000),
      ...{ phase: AuditPhase.RESPONSE, limit: 7 },
    });
  });

  test("says that there may be more when as many came as were asked for", async () => {
    assert.match((await holdfast(["audit", "list", "--limit", "2"])).err, /there may be more before/);
    assert.equal((await holdfast(["audit", "list", "--limit", "3"])).err, "");
  });

  test("is a tenant's own view when one is named", async () => {
    assert.equal((await holdfast(["audit", "list", "--tenant", "ann"])).code, 0);
    assert.deepEqual([asked().method, asked().login], ["api.v2.AuditService/List", "ann"]);
  });

  test("gives the traces themselves as JSON and YAML", async () => {
    const listed = JSON.parse((await holdfast(["audit", "list", "-o", "json"])).out) as { phase: string }[];
    assert.deepEqual(
      listed.map(({ phase }) => phase),
      ["AUDIT_PHASE_RESPONSE", "AUDIT_PHASE_REQUEST"],
    );
    assert.match((await holdfast(["audit", "list", "-o", "yaml"])).out, /^- uuid: /);
  });

  test("ends with 2 for what is no time and no code, and asks nothing", async () => {
    for (const flags of [
      ["--from", "yesterday"],
      ["--to", "7"],
      ["--code", "bad"],
    ])
      assert.equal((await holdfast(["audit", "list", ...flags])).code, 2, `${flags}`);
    assert.notEqual((await holdfast(["audit", "list", "--limit", "1001"])).code, 0);
    assert.deepEqual(fake.asked, []);
  });
});

describe("holdfast audit get", () => {
  test("shows both halves of a call as one", async () => {
    const { out } = await holdfast(["audit", "get", uuid]);
    assert.equal(
      out,
      [
        `id:           ${uuid}`,
        "who:          site:alice",
        "call:         /holdfast.site.v1.SiteService/OrderBmc",
        "from:         10.0.0.9",
        "site:         lab",
        "began:        2026-01-01T00:00:00.000Z",
        "ended:        2026-01-01T00:00:00.250Z, after 0.3s",
        "result:       NotFound",
        'request:      {"machine":"rack7"}',
        'answer:       {"error":"no machine here"}',
        "",
      ].join("\n"),
    );
    assert.deepEqual(asked().query, { uuid });
  });

  test("gives the halves in their order as JSON, and fails for a call of which nothing is known", async () => {
    const halves = JSON.parse((await holdfast(["audit", "get", uuid, "-o", "json"])).out) as { phase: string }[];
    assert.deepEqual(
      halves.map(({ phase }) => phase),
      ["AUDIT_PHASE_REQUEST", "AUDIT_PHASE_RESPONSE"],
    );
    const none = await holdfast(["audit", "get", uuid, "--tenant", "ann", "--phase", "request"]);
    assert.deepEqual([none.code, none.out], [1, ""]);
    assert.match(none.err, /there is no call .* in these records/);
  });
});

test("a code is a number or a name, and a time is one or how long ago", () => {
  assert.deepEqual(
    [parseCode("0"), parseCode("NotFound")],
    [
      { ok: true, value: 0 },
      { ok: true, value: 5 },
    ],
  );
  assert.deepEqual(parseWhen("90m", startMs), { ok: true, value: startMs - 5_400_000 });
  assert.deepEqual(parseWhen("2026-01-01T00:00:01Z", 0), { ok: true, value: startMs + 1000 });
});
