import { Refusal } from "#lib/refusal.ts";
import { kinds } from "../store/kinds.ts";
import type { State } from "../store/state.ts";

/**
 * What was given for a partition is not good for another one of the same name, made after the first was deleted.
 * @param given stored for it: a certificate, a join token or an agent's token
 * @throws Refusal "unauthenticated"
 */
export function checkPartition(
  state: Pick<State, "get">,
  partition: string,
  given: { readonly created: bigint } | undefined,
): void {
  const made = state.get(kinds.partition, partition)?.created;
  if (made === undefined || given === undefined || made < given.created) return;
  const text = `partition ${partition} was deleted and made anew since: the agent can join again with a new join token`;
  throw new Refusal("unauthenticated", text, { reason: "PARTITION_MADE_ANEW" });
}
