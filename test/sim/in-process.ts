import { create, type DescMessage, type DescMethodUnary, fromBinary, type Message, toBinary } from "@bufbuild/protobuf";
import {
  Code,
  ConnectError,
  type ConnectRouter,
  createContextValues,
  createRouterTransport,
  type Interceptor,
  type Transport,
  type UnaryRequest,
  type UnaryResponse,
} from "@connectrpc/connect";
import { type LinkedSignal, linkedSignal } from "#lib/linked-signal.ts";
import { noLonger } from "#lib/no-longer.ts";

type Unary = (request: UnaryRequest) => Promise<UnaryResponse>;
type Implementation = (input: Message, context: unknown) => Promise<Message>;

/**
 * What a process serves, for callers in the same process. Unary calls go straight through the interceptors to their implementations:
 * connect's own in-memory transport plays HTTP with streams of bytes, headers and signals, which took a seventh of a run. Messages
 * still cross as bytes, and of an error only what a connection would carry. Streams take connect's way.
 * @param refused told of every error that a unary call is answered
 */
export function inProcess(
  routes: (router: ConnectRouter) => void,
  interceptors: readonly Interceptor[],
  refused: (error: ConnectError) => void,
): Transport {
  const unary = new Map<string, Unary>();
  const whole = createRouterTransport(
    (router) => {
      const noting: ConnectRouter = {
        handlers: router.handlers,
        service: (service, implementation, options) => {
          for (const method of service.methods) {
            const own = (implementation as Readonly<Record<string, unknown>>)[method.localName];
            if (method.methodKind !== "unary" || typeof own !== "function") continue;
            const call = own.bind(implementation) as Implementation; // a unary method's is no other
            unary.set(`${service.typeName}/${method.name}`, through(interceptors, call, method as DescMethodUnary)); // as its kind says
          }
          router.service(service, implementation, options);
          return noting;
        },
        rpc: (method, implementation, options) => {
          router.rpc(method, implementation, options);
          return noting;
        },
      };
      routes(noting);
    },
    { router: { interceptors: [...interceptors], grpc: false, grpcWeb: false } },
  );
  return {
    async unary(method, signal, timeoutMs, header, input, contextValues) {
      const call = unary.get(`${method.parent.typeName}/${method.name}`);
      if (!call) return await whole.unary(method, signal, timeoutMs, header, input, contextValues);
      const message = crossed(method.input, create(method.input, input));
      const own = new CallSignal(signal);
      const request: UnaryRequest = {
        ...{ stream: false, service: method.parent, method, requestMethod: "POST", url: "" },
        ...{ header: new Headers(header), contextValues: createContextValues(), message },
        get signal() {
          return own.signal;
        },
      };
      try {
        const response = await orAborted(signal, call(request));
        return { ...response, message: crossed(method.output, response.message) } as never; // of the method that was called
      } catch (error) {
        const shown = error instanceof ConnectError ? error : new ConnectError("internal error", Code.Internal);
        refused(shown);
        throw shown;
      } finally {
        own.end();
      }
    },
    stream: (...call) => whole.stream(...call),
  };
}

/** A method's implementation behind the interceptors, as connect calls it. */
function through(interceptors: readonly Interceptor[], own: Implementation, method: DescMethodUnary): Unary {
  const innermost: Unary = async (request) => {
    const { service, requestMethod, url, header, contextValues } = request;
    const answer = { header: new Headers(), trailer: new Headers() };
    const context = {
      ...{ method, service, requestMethod, url, requestHeader: header, values: contextValues },
      ...{ protocolName: "connect", timeoutMs: () => undefined },
      ...{ responseHeader: answer.header, responseTrailer: answer.trailer },
      get signal() {
        return request.signal;
      },
    };
    const message = create(method.output, await own(request.message, context));
    return { ...answer, stream: false, service, method, message };
  };
  return interceptors.reduceRight<Unary>((next, interceptor) => interceptor(next as never) as Unary, innermost);
}

const crossed = <S extends DescMessage>(schema: S, message: Message): Message =>
  fromBinary(schema, toBinary(schema, message as never));

/** A call's own signal, which most of them never ask for: it aborts with the caller's, and when the call is over. */
class CallSignal {
  readonly #caller: AbortSignal | undefined;
  #linked: LinkedSignal | undefined;
  #isOver = false;

  constructor(caller: AbortSignal | undefined) {
    this.#caller = caller;
  }

  get signal(): AbortSignal {
    this.#linked ??= linkedSignal(...(this.#caller ? [this.#caller] : []));
    if (this.#isOver) this.end();
    return this.#linked.signal;
  }

  end(): void {
    this.#isOver = true;
    this.#linked?.abort(noLonger);
    this.#linked?.unlink();
  }
}

/** Whoever aborts a call does not wait for what becomes of it. */
function orAborted<T>(signal: AbortSignal | undefined, work: Promise<T>): Promise<T> {
  if (!signal) return work;
  return new Promise((resolve, reject) => {
    const stop = () => reject(signal.reason);
    if (signal.aborted) stop();
    signal.addEventListener("abort", stop, { once: true });
    const forget = () => signal.removeEventListener("abort", stop);
    work.then(resolve, reject).finally(forget);
  });
}
