/** A broken invariant: something that our own code promised does not hold. Never the answer to bad input. */
export function bug(what: string): never {
  throw new Error(`bug: ${what}`);
}
