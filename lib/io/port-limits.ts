/** Every limit of one port. Times are milliseconds. */
export interface PortLimits {
  /** Largest message, after decompression, that is taken; it is taken before anybody asks who the caller is. */
  readonly requestBytesMax: number;
  /** Largest message that is sent. */
  readonly responseBytesMax: number;
  /** Of all messages that are arriving on all connections, together; whoever needs more is refused. */
  readonly arrivingBytesMax: number;
  /** Of one request's names and values; HTTP/2 counts 32 more for each. */
  readonly headerBytesMax: number;
  /** Header fields of one request. */
  readonly headerFieldsMax: number;
  /** Streams open at once on one HTTP/2 connection. */
  readonly streamsMax: number;
  readonly connectionsMax: number;
  /** A connection without any stream is closed after this. */
  readonly idleMs: number;
  /** HTTP/2 connections are asked for a sign of life this often; no answer until the next time ends them and their streams. */
  readonly pingMs: number;
  /** From connecting to the first bytes, and from a request's first byte to the end of its headers. */
  readonly headersMs: number;
  /** From a request's headers to its last byte; streams of messages are not bound by it over HTTP/2. */
  readonly requestMs: number;
  /** How long a stop waits for unary calls before it tells them, too, that the server is stopping. */
  readonly drainMs: number;
  /** How long whoever has got the last word may take to leave, before the connection is cut. */
  readonly cutMs: number;
}

export const defaultLimits: PortLimits = {
  requestBytesMax: 16 << 20,
  responseBytesMax: 16 << 20,
  arrivingBytesMax: 256 << 20,
  headerBytesMax: 32 << 10,
  headerFieldsMax: 128,
  streamsMax: 1_000,
  connectionsMax: 20_000,
  idleMs: 300_000,
  pingMs: 20_000,
  headersMs: 15_000,
  requestMs: 120_000,
  drainMs: 5_000,
  cutMs: 1_000,
};
