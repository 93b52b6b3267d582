/** Why a well-formed request is refused. One file per surface maps these to its own codes. */
export type RefusalCode =
  | "invalid"
  | "unauthenticated"
  | "denied"
  | "not-found"
  | "exists"
  | "precondition"
  | "conflict"
  | "exhausted"
  | "unavailable"
  | "unimplemented";

export interface RefusalDetail {
  readonly reason?: string;
  readonly field?: string;
  readonly retryAfterMs?: number;
}

/**
 * An expected refusal: the caller asked for something that cannot be, and can act on the text.
 * `reason` is a stable word for programs (`MACHINE_LOCKED`), `field` the path of the offending field, if there is one; `retryAfterMs`
 * says when it is worth asking again.
 */
export class Refusal extends Error {
  readonly code: RefusalCode;
  readonly reason: string | undefined;
  readonly field: string | undefined;
  readonly retryAfterMs: number | undefined;

  constructor(code: RefusalCode, message: string, detail: RefusalDetail = {}) {
    super(message);
    this.name = "Refusal";
    this.code = code;
    this.reason = detail.reason;
    this.field = detail.field;
    this.retryAfterMs = detail.retryAfterMs;
  }
}
