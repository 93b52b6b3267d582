// To a central in this process, in every protocol of its port.
import { type ConnectRouter, createConnectRouter, type Interceptor, type Transport } from "@connectrpc/connect";
import { createUniversalHandlerClient } from "@connectrpc/connect/protocol";
import { createTransport as connect } from "@connectrpc/connect/protocol-connect";
import { createTransport as grpc } from "@connectrpc/connect/protocol-grpc";
import { createTransport as grpcWeb } from "@connectrpc/connect/protocol-grpc-web";

export interface Way {
  readonly name: string;
  readonly isJson: boolean;
  readonly transport: Transport;
}

export function ways(api: {
  readonly routes: (router: ConnectRouter) => void;
  readonly interceptors: readonly Interceptor[];
}): readonly Way[] {
  const router = createConnectRouter({ interceptors: [...api.interceptors] });
  api.routes(router);
  const httpClient = createUniversalHandlerClient(router.handlers);
  const protocols = Object.entries({ connect, grpc, "grpc-web": grpcWeb });
  return protocols.flatMap(([protocol, createTransport]) =>
    [false, true].map((isJson) => ({
      name: `${protocol}${isJson ? ", JSON" : ""}`,
      isJson,
      transport: createTransport({
        httpClient,
        baseUrl: "https://in-memory",
        useBinaryFormat: !isJson,
        interceptors: [],
        acceptCompression: [],
        sendCompression: null,
        compressMinBytes: Number.MAX_SAFE_INTEGER,
        readMaxBytes: 0xffffffff,
        writeMaxBytes: 0xffffffff,
      }),
    })),
  );
}
