/** A signal that follows others until `unlink`. */
export interface LinkedSignal {
  readonly signal: AbortSignal;
  readonly abort: (reason: unknown) => void;
  /** Lets go of the others, so that a signal that lives as long as the process keeps nothing. */
  readonly unlink: () => void;
}

/**
 * Like AbortSignal.any, for work that is short beside a source that lives long: Node 20 keeps something of every
 * AbortSignal.any for as long as its sources live.
 */
export function linkedSignal(...sources: readonly AbortSignal[]): LinkedSignal {
  const own = new AbortController();
  const links = sources.map((source) => {
    const follow = () => own.abort(source.reason);
    source.addEventListener("abort", follow, { once: true });
    if (source.aborted) follow();
    return () => source.removeEventListener("abort", follow);
  });
  return {
    signal: own.signal,
    abort: (reason) => own.abort(reason),
    unlink: () => {
      for (const unlink of links) unlink();
    },
  };
}
