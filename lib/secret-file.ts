/** A file that only its owner may read. */
export interface SecretFile {
  readonly path: string;
  /** Undefined: there is none. */
  read(): Promise<string | undefined>;
  /** Replaces it in one step; durable when it resolves. */
  write(text: string): Promise<void>;
}
