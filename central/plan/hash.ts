import type { Message } from "@bufbuild/protobuf";
import { type Plan, PlanSchema } from "#gen/holdfast/api/v1/plan_pb.ts";
import { hex } from "#lib/bytes.ts";
import { messageDigest, sha256 } from "#lib/message-digest.ts";
import { Refusal } from "#lib/refusal.ts";
import { askedDigest, type Called } from "#lib/rpc/asked-digest.ts";
import { planHeader } from "#lib/rpc/plan-header.ts";
import { methodName } from "../access/rule.ts";

/** Seeds are whole numbers below this. */
export const seeds = 2 ** 31;

/** Of a call that would do this. It begins with the seed, from which it would be chosen again. */
export async function planHash(seed: number, called: Called, request: Message, plan: Plan): Promise<string> {
  const parts = [await askedDigest(called, request), await messageDigest(PlanSchema, plan)];
  return `${seed}-${hex(await sha256(JSON.stringify([methodName(called.method), ...parts.map(hex)])))}`;
}

/** @throws Refusal "invalid" */
export function seedIn(hash: string): number {
  const [, seed = ""] = /^(\d{1,10})-[0-9a-f]{64}$/.exec(hash) ?? [];
  if (seed !== "" && Number(seed) < seeds) return Number(seed);
  const text = `${planHeader} wants the hash of a plan, as PlanService.Plan gives it`;
  throw new Refusal("invalid", text, { field: planHeader, reason: "PLAN_INVALID" });
}
