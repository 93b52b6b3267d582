/** Randomness, handed in, so that one seed replays a run. */
export interface Random {
  bytes(count: number): Uint8Array;
  /** A whole number, 0 ≤ n < bound. */
  below(bound: number): number;
  /** A random (version 4) UUID, RFC 9562 §5.4. */
  uuid(): string;
}
