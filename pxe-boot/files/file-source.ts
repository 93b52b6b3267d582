/** Where TFTP and HTTP get their files; names are as `fileName` gives them. */
export interface FileSource {
  /**
   * @returns undefined when there is no such file
   * @throws when the place of the files fails: clients are then left to ask again, not told that it is missing
   */
  open(name: string): Promise<OpenFile | undefined>;
}

/** One content of a file: `sizeBytes` and `etag` belong to what `read` gives, even when the name is replaced meanwhile. */
export interface OpenFile {
  readonly sizeBytes: number;
  /** A strong validator without quotes; another content has another one */
  readonly etag: string;
  /** Fills `into` with what is from `offset` on. @returns bytes that were read; fewer than there is room for only at the end */
  read(offset: number, into: Uint8Array): Promise<number>;
  close(): Promise<void>;
}
