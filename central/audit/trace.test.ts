import assert from "node:assert/strict";
import { test } from "node:test";
import { fromBinary, toBinary } from "@bufbuild/protobuf";
import { timestampMs } from "@bufbuild/protobuf/wkt";
import { AuditTraceSchema } from "#gen/metalstack/api/v2/audit_pb.ts";
import { ruleOf } from "../access/rule.ts";
import { services } from "../services.ts";
import { auditLine, tenantAbout, traceLabels, traceOf } from "./trace.ts";

const call = {
  uuid: "00000000-0000-4000-8000-000000000001",
  method: "/a.B/C",
  user: "ann",
  token: "t",
  roles: "tenant OWNER",
  tenant: "acme",
  project: "",
  address: "10.0.0.1",
};

test("a trace can be stored and printed whatever fractions the clock has", () => {
  const trace = traceOf(call, 1_000.75, "{}", { code: 0, durationMs: 14.253662109375, messages: 3 });
  const stored = fromBinary(AuditTraceSchema, toBinary(AuditTraceSchema, trace));
  assert.equal(timestampMs(stored.timestamp!), 1000);
  assert.deepEqual(stored.meta?.labels?.labels, {
    [traceLabels.token]: "t",
    [traceLabels.roles]: "tenant OWNER",
    [traceLabels.duration]: "14",
    [traceLabels.messages]: "3",
  });
  const line = auditLine(trace);
  assert.ok(line.endsWith("}}\n"));
  assert.equal(JSON.parse(line).audit.timestamp, "1970-01-01T00:00:01Z");
});

test("no method asks for roles in a tenant and in a project at once, so that it is plain in whose view its calls belong", () => {
  const rules = services.flatMap((s) => s.methods.map(ruleOf));
  const both = rules.filter((rule) => rule.projectRoles.length > 0 && rule.tenantRoles.length > 0);
  assert.deepEqual(both, []);
  const subject = { project: "p", tenant: "named", machine: "" };
  for (const rule of rules) {
    const tenant = tenantAbout(rule, "ann", subject, () => "owner-of-p");
    const expected =
      rule.projectRoles.length > 0 ? "owner-of-p" : rule.tenantRoles.length > 0 ? "named" : rule.isSelf ? "ann" : "";
    assert.equal(tenant, expected, rule.method);
    if (!rule.method.startsWith("/metalstack.api.v2.") && !rule.method.startsWith("/holdfast.api.v1."))
      assert.equal(tenant, "", rule.method);
  }
});
