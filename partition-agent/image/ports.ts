import type { OpenFile } from "#pxe-boot/files/file-source.ts";

/** Where images come from. */
export interface ImageSource {
  /** @throws when the source cannot be reached, or answers neither the content nor that there is none */
  get(request: FetchRequest, signal: AbortSignal): Promise<Fetched | undefined>;
}

export interface FetchRequest {
  readonly url: string;
  /** First byte wanted, when a part is here already. */
  readonly offset: number;
  /** What the source said of the content of which the part is; when it says otherwise now, all is sent again. */
  readonly validator: string | undefined;
}

/** Content on its way. Whoever got it must read `chunks` to the end or break out of it. */
export interface Fetched {
  /** Of the first byte of `chunks`: the one that was asked for, or 0. */
  readonly offset: number;
  /** Of the whole content, when the source says. */
  readonly totalBytes: number | undefined;
  readonly validator: string | undefined;
  readonly chunks: AsyncIterable<Uint8Array>;
}

/** Where images are kept. Names of objects are their SHA-256, names of parts are the caller's, both lower-case hex. */
export interface ImageFolder {
  objects(): Promise<readonly StoredObject[]>;
  path(sha256: string): string;
  /** SHA-256 of what lies there. */
  digest(sha256: string): Promise<string>;
  /** SHA-256 of what lies there and a seal with a fresh key, in one reading. */
  seal(sha256: string): Promise<Sealed>;
  open(sha256: string): Promise<OpenFile>;
  remove(sha256: string): Promise<void>;
  parts(): Promise<readonly StoredPart[]>;
  /** Opens a part that is to be completed; a new one is empty. */
  part(name: string): Promise<Part>;
  removePart(name: string): Promise<void>;
  readIndex(): Promise<string | undefined>;
  /** All or nothing, durable when it resolves. */
  writeIndex(text: string): Promise<void>;
}

/**
 * Poly1305 over a content, as ChaCha20-Poly1305 makes it of additional data alone, with a nonce of zeros.
 * @source RFC 8439 §2.8
 */
export interface Seal {
  /** 32 bytes, of this content alone. */
  readonly key: Uint8Array;
  /** 16 bytes. */
  readonly tag: Uint8Array;
}

/** Of one content. */
export interface Sealed {
  /** Lower-case hex. */
  readonly sha256: string;
  readonly seal: Seal;
}

export interface StoredObject {
  readonly sha256: string;
  readonly sizeBytes: number;
}

export interface StoredPart {
  readonly name: string;
  readonly sizeBytes: number;
}

/** A file that grows. */
export interface Part {
  /** Bytes that are there. */
  readonly sizeBytes: number;
  readonly validator: string | undefined;
  /** Forgets the content, and remembers of what the next one is a part. */
  restart(validator: string | undefined): Promise<void>;
  append(chunk: Uint8Array): Promise<void>;
  /** SHA-256 of all that was appended. */
  digest(): Promise<string>;
  /** Makes it an object: durable, and there under its name or not at all. */
  commit(sha256: string): Promise<void>;
  /** Keeps what is there for the next time. Harmless after `commit`. */
  close(): Promise<void>;
}

/** SHA-256 of a text, in hex: names a part after its URL. */
export type HashText = (text: string) => string;
