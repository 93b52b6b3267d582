import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { FirewallRulesSchema, IPProtocol } from "#gen/metalstack/api/v2/machine_pb.ts";
import { checkFirewallRules } from "./firewall-rules.ts";

type Rules = Omit<MessageInitShape<typeof FirewallRulesSchema>, "$typeName">;

const check = (rules: Rules) => checkFirewallRules(create(FirewallRulesSchema, rules));
const out = { protocol: IPProtocol.IP_PROTOCOL_TCP, ports: [443], to: ["0.0.0.0/0"], comment: "https to all" };
const into = {
  protocol: IPProtocol.IP_PROTOCOL_UDP,
  ports: [53, 5353],
  from: ["2001:DB8::/32"],
  to: ["2001:db8:1::/48"],
};

test("good rules come back as they are, with prefixes in their canonical text", () => {
  const checked = check({ egress: [out], ingress: [into, { ...into, to: [] }] });
  assert.ok(checked.ok);
  const { egress, ingress } = checked.value;
  assert.deepEqual(egress, [...create(FirewallRulesSchema, { egress: [out] }).egress]);
  assert.deepEqual([ingress[0]?.from, ingress[0]?.to, ingress[1]?.to], [["2001:db8::/32"], ["2001:db8:1::/48"], []]);
});

test("no rules are good rules: nothing passes", () => assert.ok(check({}).ok));

describe("a rule is refused by the place of what is wrong", () => {
  const many = <T>(count: number, what: T): T[] => Array.from({ length: count }, () => what);
  const rows: readonly [string, Rules, string, RegExp][] = [
    ["no protocol", { egress: [{ ...out, protocol: 0 }] }, "egress[0].protocol", /TCP or UDP/],
    ["no port", { egress: [out, { ...out, ports: [] }] }, "egress[1].ports", /at least one port/],
    ["port 0", { ingress: [{ ...into, ports: [53, 0] }] }, "ingress[0].ports[1]", /port 0 is not within 1 to 65532/],
    ["a port above all", { egress: [{ ...out, ports: [65_533] }] }, "egress[0].ports[0]", /65533/],
    ["too many ports", { egress: [{ ...out, ports: many(65, 1) }] }, "egress[0].ports", /65 ports exceed 64/],
    ["a comment with capitals", { egress: [{ ...out, comment: "No" }] }, "egress[0].comment", /lower-case/],
    ["a comment with an end", { egress: [{ ...out, comment: 'x" accept' }] }, "egress[0].comment", /lower-case/],
    ["a long comment", { egress: [{ ...out, comment: "x".repeat(101) }] }, "egress[0].comment", /at most 100/],
    ["no target", { egress: [{ ...out, to: [] }] }, "egress[0].to", /0\.0\.0\.0\/0 or ::\/0/],
    ["no source", { ingress: [{ ...into, from: [] }] }, "ingress[0].from", /at least one prefix/],
    ["bits beyond the length", { egress: [{ ...out, to: ["10.0.0.1/24"] }] }, "egress[0].to", /10\.0\.0\.0\/24 may be/],
    ["both families", { egress: [{ ...out, to: ["10.0.0.0/8", "::/0"] }] }, "egress[0].to[1]", /different address/],
    ["a way across", { ingress: [{ ...into, to: ["10.0.0.0/8"] }] }, "ingress[0].to", /different address families/],
    ["too many rules", { ingress: many(65, into) }, "ingress", /65 rules exceed 64/],
  ];
  for (const [name, rules, field, why] of rows)
    test(name, () => {
      const checked = check(rules);
      assert.ok(!checked.ok);
      assert.equal(checked.error.field, field);
      assert.match(checked.error.why, why);
    });
});
