import type { MessageInitShape } from "@bufbuild/protobuf";
import type { CallOptions } from "@connectrpc/connect";
import {
  PlanService,
  type PlanServicePlanRequestSchema,
  PlanServicePlanResponseSchema,
} from "#gen/holdfast/api/v1/plan_pb.ts";
import { planHeader } from "#lib/rpc/plan-header.ts";
import { type Api, type Cli, note, say } from "../cli.ts";
import { Failure } from "../failure.ts";
import { text } from "../flags.ts";
import { isForPeople, type Output, oneText } from "../view/output.ts";
import { planText } from "../view/plan.ts";

export interface PlanFlags {
  readonly dryRun?: boolean | undefined;
  readonly plan?: string | undefined;
}

export const planFlags = {
  dryRun: { kind: "boolean", optional: true, brief: "Change nothing, show what would be changed, and a hash of it" },
  plan: text("Do what a dry run with this hash has shown, or nothing", "HASH"),
} as const;

type PlanCall = NonNullable<MessageInitShape<typeof PlanServicePlanRequestSchema>["call"]>;

/** Shows what a call would do. @throws Failure when it would be refused */
export async function dryRun(
  cli: Cli,
  api: Api,
  call: PlanCall,
  output: Output = "table",
  options: CallOptions = {},
): Promise<void> {
  const answer = await api.client(PlanService).plan({ call }, options);
  if (!isForPeople(output)) say(cli, oneText(PlanServicePlanResponseSchema, answer, output));
  const { outcome, why, hash } = answer;
  if (outcome.case === "refusal") {
    const { text: said, reason } = outcome.value;
    throw new Failure(`it would be refused: ${said}${reason === "" ? "" : ` (${reason})`}`);
  }
  if (!isForPeople(output) || outcome.case === undefined) return;
  say(cli, planText(outcome.value));
  for (const line of why) note(cli, line);
  note(cli, `nothing was changed; to do this and nothing else: --plan ${hash}`);
}

/** Of the call itself. */
export const planned = ({ plan }: PlanFlags): { readonly headers: Readonly<Record<string, string>> } => ({
  headers: plan === undefined ? {} : { [planHeader]: plan },
});
