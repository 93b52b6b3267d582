import type { Clock } from "#lib/clock.ts";
import { reasonOf } from "#lib/reason-of.ts";
import type { DiskFacts } from "./facts.ts";
import type { Server } from "./server.ts";
import type { WipeEvidence, WipeMethod } from "./wipe.ts";

/** Tries one way after the other until one works. @returns what was done; it does not throw */
export async function wipeDisk(
  disk: DiskFacts,
  methods: readonly WipeMethod[],
  { server, clock }: { readonly server: Pick<Server, "wipe">; readonly clock: Clock },
): Promise<WipeEvidence> {
  const began = clock.monotonicMs();
  const errors: string[] = [];
  for (const method of methods) {
    try {
      await server.wipe(disk, method);
      return { disk, method, tookMs: clock.monotonicMs() - began, error: "" };
    } catch (error) {
      errors.push(`${method}: ${reasonOf(error)}`);
    }
  }
  return { disk, method: undefined, tookMs: clock.monotonicMs() - began, error: errors.join("; ").slice(0, 1000) };
}
