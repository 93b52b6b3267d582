import { setImmediate as turn } from "node:timers/promises";
import type { DescMethod, Message } from "@bufbuild/protobuf";
import { Code, ConnectError, type Transport } from "@connectrpc/connect";

/** How a call ended: neither, for a stream that said nothing while it was listened to. */
export interface Heard {
  readonly answer?: Message | undefined;
  readonly error?: unknown;
}

export interface How {
  readonly authorization: string | undefined;
  /** How long a stream is listened to. */
  readonly patience: () => Promise<unknown>;
  /** Other headers. */
  readonly more?: Readonly<Record<string, string>>;
}

/** Any method's call: the answer, or a stream's first message. A stream is left after that, and when patience is over. */
export async function heard(
  transport: Transport,
  method: DescMethod,
  request: Message,
  { authorization, patience, more = {} }: How,
): Promise<Heard> {
  const headers: Record<string, string> = { ...more, ...(authorization !== undefined && { authorization }) };
  const failed = (error: unknown): Heard => ({ error });
  // The compiler does not know that the request is the method's own.
  const asked = request as never;
  if (method.methodKind === "unary") {
    const unary = transport.unary(method as never, undefined, undefined, headers, asked);
    return await unary.then(({ message }): Heard => ({ answer: message }), failed);
  }
  const left = new AbortController();
  const first = firstOf(transport, method, { left: left.signal, headers, asked });
  const ended = first.then(
    (answer): Heard => ({ answer }),
    (error: unknown) => (left.signal.aborted && ConnectError.from(error).code === Code.Canceled ? {} : failed(error)),
  );
  await Promise.race([ended, patience()]);
  left.abort();
  return await ended;
}

async function firstOf(
  transport: Transport,
  method: DescMethod,
  {
    left,
    headers,
    asked,
  }: { readonly left: AbortSignal; readonly headers: Record<string, string>; readonly asked: never },
): Promise<Message | undefined> {
  async function* one() {
    yield asked;
  }
  const { message } = await transport.stream(method as never, left, undefined, headers, one());
  const { value } = await message[Symbol.asyncIterator]().next();
  return value as Message | undefined; // of the method's own output
}

/** Turns of the event loop. */
export async function turns(count: number): Promise<void> {
  for (let i = 0; i < count; i++) await turn();
}
