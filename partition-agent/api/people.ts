// Who may call, known without asking central: by its public keys, and by what it last told of each token.
// Invariant: what was told longer ago than `accessAgeMaxMs` lets nobody in: a revocation may have come since.
import { type DescMethod, getOption } from "@bufbuild/protobuf";
import { timestampMs } from "@bufbuild/protobuf/wkt";
import { type SiteAccess, SiteAccessSchema, type TokenAccess } from "#gen/holdfast/state/v1/budget_pb.ts";
import { project_roles } from "#gen/metalstack/api/v2/common_pb.ts";
import { dayMs } from "#lib/durations.ts";
import { Refusal } from "#lib/refusal.ts";
import type { Site } from "../boot/site.ts";

/** How long after central was last heard its word about people still holds. */
export const accessAgeMaxMs = 14 * dayMs;
/** Hearing central is noted this often at most. */
const noteEveryMs = 60_000;
const table = "central-heard";
const key = "wall-ms";

/**
 * @returns the token's uuid, when one of the keys has signed it and it has not ended
 * @throws whatever is wrong with it
 */
export type TokenVerifier = (
  token: string,
  access: Pick<SiteAccess, "keys" | "issuer">,
  nowMs: number,
) => Promise<string>;

export class People {
  readonly #site: Site;
  readonly #verify: TokenVerifier;
  #heardMs: number;

  constructor({ site, verify }: { readonly site: Site; readonly verify: TokenVerifier }) {
    this.#site = site;
    this.#verify = verify;
    this.#heardMs = Number(new TextDecoder().decode(site.disk.get(table, key)) || "0");
  }

  /** Central has just been heard, and everything that it tells is here. Resolves when that is durable. */
  async heard(): Promise<void> {
    const nowMs = this.#site.clock.wallMs();
    // Of a project that has a budget here, and of nobody else, something is to be known.
    if (Math.abs(nowMs - this.#heardMs) < noteEveryMs || !this.#isAsked) return;
    await this.#site.disk.write([{ table, key, value: new TextEncoder().encode(`${nowMs}`) }]);
    this.#heardMs = nowMs;
  }

  /** Central has just said who may do what. When that cannot be noted, it is with its next heartbeat. */
  told(): void {
    this.heard().catch((error: unknown) => this.#site.log.warn("central-heard-not-noted", { error }));
  }

  get #isAsked(): boolean {
    return this.#site.ledger.list("site-access", SiteAccessSchema).length > 0;
  }

  /**
   * @param authorization the header's value
   * @returns the token, as central last told of it
   * @throws Refusal "unauthenticated" for a token that is no good, "denied" for one of which nothing is known
   */
  async caller(authorization: string | null, project: string): Promise<TokenAccess> {
    const token = /^Bearer (\S+)$/i.exec(authorization ?? "")?.[1];
    if (token === undefined) throw refused("a token is wanted");
    const { ledger, partition, clock } = this.#site;
    const access = ledger.get("site-access", `${partition}/${project}`, SiteAccessSchema);
    if (!access) {
      const text = `project ${project.slice(0, 64)} has no budget in partition ${partition}: the agent serves nobody else`;
      throw new Refusal("denied", text, { reason: "NO_BUDGET" });
    }
    this.#checkAge();
    const uuid = await this.#verify(token, access, clock.wallMs()).catch(() => {
      throw refused("the token is not valid, has ended, or is signed by a key that is not known here");
    });
    const known = access.tokens.find((one) => one.uuid === uuid);
    if (!known)
      throw new Refusal("denied", "the token is revoked, or had no role in the project when central was last heard", {
        reason: "ACCESS",
      });
    if (endMs(known) <= clock.wallMs()) throw refused("the token has ended");
    return known;
  }

  /** @throws Refusal "denied" for a token that may not */
  checkRole(token: TokenAccess, method: DescMethod, project: string): void {
    if (mayCall(token, method)) return;
    const text = `${method.parent.typeName}.${method.name} wants another role in project ${project}`;
    throw new Refusal("denied", text, { reason: "ACCESS" });
  }

  #checkAge(): void {
    const ageMs = this.#site.clock.wallMs() - this.#heardMs;
    if (ageMs <= accessAgeMaxMs) return;
    const text = `central was last heard ${Math.floor(ageMs / dayMs)} days ago: after ${accessAgeMaxMs / dayMs} days nobody knows who may still call`;
    throw new Refusal("unauthenticated", text, { reason: "ACCESS_TOO_OLD" });
  }
}

const refused = (text: string) => new Refusal("unauthenticated", text, { reason: "TOKEN" });

const endMs = ({ expires }: TokenAccess): number => (expires ? timestampMs(expires) : 0);

const mayCall = ({ role, methods }: TokenAccess, method: DescMethod): boolean =>
  getOption(method, project_roles).includes(role) || methods.includes(`/${method.parent.typeName}/${method.name}`);
