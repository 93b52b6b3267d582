/** Time, handed in, so that the same code runs on virtual time. */
export interface Clock {
  /** Milliseconds since an arbitrary start; never goes back. For time-outs, leases in memory and back-off. */
  monotonicMs(): number;
  /** Milliseconds since 1970 UTC; may jump. For what people read and what outlives the process. */
  wallMs(): number;
  /** Resolves after `ms`, or rejects with the signal's reason. After 0: in the next turn of the event loop, when what was written has left. */
  sleep(ms: number, signal?: AbortSignal): Promise<void>;
}
