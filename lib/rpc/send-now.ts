import { type ContextKey, createContextKey } from "@connectrpc/connect";

/**
 * Sends a message of a stream of answers at once, past Connect and all interceptors: a message costs them several times as much as the
 * sending itself. Only for the handler, while it is asked for its next message: then nothing is on its way that it could overtake.
 * @param message in binary form
 * @returns false: not sent, since nothing was answered yet, the reader is behind, or it has gone. The message has to be yielded then
 */
export type SendNow = (message: Uint8Array) => boolean;

/** Undefined where the protocol is another one than gRPC in binary form over HTTP/2, and for calls within the process. */
export const sendNowKey: ContextKey<SendNow | undefined> = createContextKey<SendNow | undefined>(undefined, {
  description: "sends a message of the answer at once",
});
