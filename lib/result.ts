/** What a function returns when bad input is normal: codecs and validators give this, and never throw on input. */
export type Result<T, E = string> =
  | { readonly ok: true; readonly value: T }
  | { readonly ok: false; readonly error: E };

export const ok = <T>(value: T): { readonly ok: true; readonly value: T } => ({ ok: true, value });

export const fail = <E>(error: E): { readonly ok: false; readonly error: E } => ({ ok: false, error });

/** The value of what was checked before, such as a text that the configuration's schema let through. @throws Error with the text of a failure */
export function checked<T>(result: Result<T>): T {
  if (!result.ok) throw new Error(result.error);
  return result.value;
}
