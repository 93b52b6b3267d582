import { Refusal } from "#lib/refusal.ts";
import { desiredOf, type Site } from "./site.ts";

/**
 * The ssh keys that a machine's allocation has by now, one a line, for its installed system: known by the token of its phone-home.
 * @returns "gone" when that allocation is over
 * @throws Refusal "unauthenticated"; "unavailable" while what is known here of the machine cannot be trusted
 */
export async function authorizedKeys(site: Site, token: string): Promise<{ readonly keys: string } | "gone"> {
  const { uuid, epoch } = await site.tokens.home(token, (id) => site.observations.get(id)?.homeTokenSha256);
  const desired = desiredOf(site, uuid);
  const why = site.safeMode.why ?? (desired ? undefined : "nothing has come from central of it");
  if (why !== undefined) throw new Refusal("unavailable", `machine ${uuid}: ${why}; ask again later`);
  if (!desired?.allocation || desired.epoch !== epoch) return "gone";
  const lines = desired.allocation.sshPublicKeys.map((key) => key.replace(/[\r\n]/g, " ").trim());
  return { keys: lines.map((line) => `${line}\n`).join("") };
}
