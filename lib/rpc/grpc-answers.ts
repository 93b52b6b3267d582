import {
  type DescMessage,
  type DescMethodServerStreaming,
  fromBinary,
  type MessageShape,
  toBinary,
} from "@bufbuild/protobuf";
import { Code, ConnectError } from "@connectrpc/connect";
import type { UniversalClientFn } from "@connectrpc/connect/protocol";
import { requestHeader, validateResponse, validateTrailer } from "@connectrpc/connect/protocol-grpc";
import { FrameReader, framed } from "./grpc-frames.ts";

export interface StreamingCall<I extends DescMessage, O extends DescMessage> {
  readonly baseUrl: string;
  readonly method: DescMethodServerStreaming<I, O>;
  /** Asked when the call begins. */
  readonly headers: () => Promise<Headers>;
  readonly request: MessageShape<I>;
  /** Of one answer. */
  readonly messageBytesMax: number;
  readonly signal: AbortSignal;
}

/**
 * The answers of a call over gRPC, as Connect's own client gives them, without what stands between it and the connection: that takes several
 * times as much as to read them.
 * @throws ConnectError with what the server said, or why it says nothing
 */
export async function* grpcAnswers<I extends DescMessage, O extends DescMessage>(
  http: UniversalClientFn,
  { baseUrl, method, headers, request, messageBytesMax, signal }: StreamingCall<I, O>,
): AsyncGenerator<MessageShape<O>> {
  // By its code the other side sees that it was not our trouble.
  const own = new AbortController();
  const cancel = (): void => own.abort(ConnectError.from(signal.reason, Code.Canceled));
  signal.addEventListener("abort", cancel);
  if (signal.aborted) cancel();
  try {
    const { status, header, body, trailer } = await http({
      url: `${baseUrl.replace(/\/$/, "")}/${method.parent.typeName}/${method.name}`,
      method: "POST",
      header: requestHeader(true, undefined, await headers()),
      body: only(framed(toBinary(method.input, request))),
      signal: own.signal,
    });
    const { foundStatus, headerError } = validateResponse(status, header);
    if (headerError) throw headerError;
    const frames = new FrameReader(messageBytesMax);
    for await (const piece of body) for (const message of frames.take(piece)) yield fromBinary(method.output, message);
    if (!foundStatus) validateTrailer(trailer, header);
    if (!frames.isEmpty) throw new ConnectError("the stream ended inside a message", Code.Internal);
  } finally {
    signal.removeEventListener("abort", cancel);
    own.abort(new ConnectError("the stream is left", Code.Canceled));
  }
}

async function* only(bytes: Uint8Array): AsyncGenerator<Uint8Array> {
  yield bytes;
}
