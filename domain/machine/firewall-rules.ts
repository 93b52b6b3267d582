// What a firewall may be told to let through. A rule that could be read in two ways is refused: an empty list of ports or prefixes
// might be meant as none or as all.
import { create } from "@bufbuild/protobuf";
import {
  type FirewallEgressRule,
  FirewallEgressRuleSchema,
  type FirewallIngressRule,
  FirewallIngressRuleSchema,
  type FirewallRules,
  FirewallRulesSchema,
  IPProtocol,
} from "#gen/metalstack/api/v2/machine_pb.ts";
import { prefixText, textFamily } from "#lib/net/prefix.ts";
import { fail, ok, type Result } from "#lib/result.ts";
import { type Problem, parsePrefixes } from "../network/rules.ts";

/** Rules of each direction. */
const rulesMax = 64;
/** Ports of one rule. */
const portsMax = 64;
/** The highest port that a rule can name. @source metalstack.api.v2.FirewallEgressRule */
const portMax = 65_532;
const commentMax = 100;

/** @returns the rules with prefixes in their one canonical text, or what is wrong by its path below `firewall_rules` */
export function checkFirewallRules({ egress, ingress }: FirewallRules): Result<FirewallRules, Problem> {
  const outward = each("egress", egress, checkEgress);
  if (!outward.ok) return outward;
  const inward = each("ingress", ingress, checkIngress);
  if (!inward.ok) return inward;
  return ok(create(FirewallRulesSchema, { egress: outward.value, ingress: inward.value }));
}

function each<R>(field: string, rules: readonly R[], check: (rule: R) => Result<R, Problem>): Result<R[], Problem> {
  if (rules.length > rulesMax) return fail({ field, why: `${rules.length} rules exceed ${rulesMax}` });
  const checked: R[] = [];
  for (const [i, rule] of rules.entries()) {
    const one = check(rule);
    if (!one.ok) return fail({ field: `${field}[${i}].${one.error.field}`, why: one.error.why });
    checked.push(one.value);
  }
  return ok(checked);
}

function checkEgress(rule: FirewallEgressRule): Result<FirewallEgressRule, Problem> {
  const bad = badTraffic(rule);
  if (bad) return fail(bad);
  const to = prefixesOf("to", rule.to);
  return to.ok ? ok(create(FirewallEgressRuleSchema, { ...rule, to: to.value })) : to;
}

function checkIngress(rule: FirewallIngressRule): Result<FirewallIngressRule, Problem> {
  const bad = badTraffic(rule);
  if (bad) return fail(bad);
  const from = prefixesOf("from", rule.from);
  if (!from.ok) return from;
  const to = rule.to.length === 0 ? ok([]) : prefixesOf("to", rule.to);
  if (!to.ok) return to;
  const [source = "", target = source] = [from.value[0], to.value[0]];
  if (textFamily(source) !== textFamily(target)) {
    return fail({ field: "to", why: `${target} and ${source} of from are of different address families` });
  }
  return ok(create(FirewallIngressRuleSchema, { ...rule, from: from.value, to: to.value }));
}

function badTraffic({ protocol, ports, comment }: FirewallEgressRule | FirewallIngressRule): Problem | undefined {
  if (protocol !== IPProtocol.IP_PROTOCOL_TCP && protocol !== IPProtocol.IP_PROTOCOL_UDP) {
    return { field: "protocol", why: "TCP or UDP is wanted" };
  }
  if (ports.length === 0) return { field: "ports", why: "at least one port is wanted" };
  if (ports.length > portsMax) return { field: "ports", why: `${ports.length} ports exceed ${portsMax}` };
  const wrong = ports.findIndex((port) => port < 1 || port > portMax);
  if (wrong >= 0) return { field: `ports[${wrong}]`, why: `port ${ports[wrong]} is not within 1 to ${portMax}` };
  if (comment.length <= commentMax && /^[a-z_ -]*$/.test(comment)) return undefined;
  return {
    field: "comment",
    why: `at most ${commentMax} lower-case letters, blanks, underscores and hyphens are wanted`,
  };
}

/** Prefixes of one family: what a rule of two would say of traffic between them is anybody's guess. */
function prefixesOf(field: string, texts: readonly string[]): Result<string[], Problem> {
  if (texts.length === 0) {
    return fail({ field, why: "at least one prefix is wanted; 0.0.0.0/0 or ::/0 stands for everywhere" });
  }
  const parsed = parsePrefixes(texts);
  if (!parsed.ok) return fail({ field, why: parsed.error });
  const canonical = parsed.value.map(prefixText);
  const [first = ""] = canonical;
  const other = canonical.findIndex((text) => textFamily(text) !== textFamily(first));
  if (other < 0) return ok(canonical);
  return fail({
    field: `${field}[${other}]`,
    why: `${canonical[other]} and ${first} are of different address families`,
  });
}
