import { type DescFile, type DescService, toBinary } from "@bufbuild/protobuf";
import { nestedTypes } from "@bufbuild/protobuf/reflect";
import { FileDescriptorProtoSchema } from "@bufbuild/protobuf/wkt";
import { Code, type ConnectRouter } from "@connectrpc/connect";
import { ServerReflection, type ServerReflectionRequest } from "#gen/grpc/reflection/v1/reflection_pb.ts";
import { ServerReflection as ServerReflectionAlpha } from "#gen/grpc/reflection/v1alpha/reflection_pb.ts";

/** Requests that one reflection stream may carry. */
const requestsMax = 10_000;

/**
 * Server reflection, v1 and v1alpha (the two differ in name only), for the given services and all files that they need.
 * @source grpc.reflection.v1, reflection.proto
 */
export function reflection(services: readonly DescService[]): (router: ConnectRouter) => void {
  let index: Index | undefined;
  const answers = async function* (requests: AsyncIterable<ServerReflectionRequest>) {
    // Not before somebody asks: it goes through every message of every file.
    index ??= indexOf([...services, ServerReflection, ServerReflectionAlpha]);
    let count = 0;
    for await (const originalRequest of requests) {
      if (++count > requestsMax) return;
      yield {
        validHost: originalRequest.host,
        originalRequest,
        messageResponse: answer(index, originalRequest.messageRequest),
      };
    }
  };
  return (router) => {
    router.service(ServerReflection, { serverReflectionInfo: (requests) => retype(answers(requests)) });
    router.service(ServerReflectionAlpha, { serverReflectionInfo: (requests) => retype(answers(retype(requests))) });
  };
}

// The two versions' messages have the same shape under other type names; the called method's schema is what gets serialised.
const retype = <T>(messages: AsyncIterable<unknown>): AsyncIterable<T> => messages as AsyncIterable<T>;

interface Index {
  readonly services: readonly string[];
  readonly files: ReadonlyMap<string, DescFile>;
  /** Messages, fields, enums, services, methods and extensions by full name. */
  readonly symbols: ReadonlyMap<string, DescFile>;
  /** Extended message → field number → file. */
  readonly extensions: ReadonlyMap<string, ReadonlyMap<number, DescFile>>;
}

function indexOf(services: readonly DescService[]): Index {
  const files = new Map<string, DescFile>();
  const collect = (file: DescFile): void => {
    if (files.has(file.proto.name)) return;
    files.set(file.proto.name, file);
    for (const dependency of file.dependencies) collect(dependency);
  };
  for (const service of services) collect(service.file);
  const symbols = new Map<string, DescFile>();
  const extensions = new Map<string, Map<number, DescFile>>();
  for (const file of files.values()) {
    for (const type of nestedTypes(file)) {
      symbols.set(type.typeName, file);
      if (type.kind === "service") for (const m of type.methods) symbols.set(`${type.typeName}.${m.name}`, file);
      if (type.kind === "message") for (const f of type.fields) symbols.set(`${type.typeName}.${f.name}`, file);
      if (type.kind !== "extension") continue;
      const numbers = extensions.get(type.extendee.typeName) ?? new Map<number, DescFile>();
      extensions.set(type.extendee.typeName, numbers.set(type.number, file));
    }
  }
  return { services: services.map((s) => s.typeName).sort(), files, symbols, extensions };
}

function answer(index: Index, asked: ServerReflectionRequest["messageRequest"]) {
  switch (asked.case) {
    case "listServices":
      return {
        case: "listServicesResponse" as const,
        value: { service: index.services.map((name) => ({ name })) },
      };
    case "fileByFilename":
      return descriptors(index.files.get(asked.value), asked.value);
    case "fileContainingSymbol":
      return descriptors(index.symbols.get(asked.value), asked.value);
    case "fileContainingExtension": {
      const { containingType, extensionNumber } = asked.value;
      return descriptors(
        index.extensions.get(containingType)?.get(extensionNumber),
        `extension ${extensionNumber} of ${containingType}`,
      );
    }
    case "allExtensionNumbersOfType": {
      const numbers = index.extensions.get(asked.value);
      if (numbers === undefined && !index.symbols.has(asked.value)) return notFound(asked.value);
      return {
        case: "allExtensionNumbersResponse" as const,
        value: { baseTypeName: asked.value, extensionNumber: [...(numbers?.keys() ?? [])] },
      };
    }
    default:
      return error(Code.InvalidArgument, "the request asks for nothing that is known here");
  }
}

/** The file and everything that it imports, so that a client needs one round trip. */
function descriptors(file: DescFile | undefined, what: string) {
  if (file === undefined) return notFound(what);
  const seen = new Map<string, Uint8Array>();
  const add = (f: DescFile): void => {
    if (seen.has(f.proto.name)) return;
    seen.set(f.proto.name, toBinary(FileDescriptorProtoSchema, f.proto));
    for (const dependency of f.dependencies) add(dependency);
  };
  add(file);
  return { case: "fileDescriptorResponse" as const, value: { fileDescriptorProto: [...seen.values()] } };
}

const notFound = (what: string) => error(Code.NotFound, `${what.slice(0, 256)} is not known here`);

const error = (errorCode: number, errorMessage: string) => ({
  case: "errorResponse" as const,
  value: { errorCode, errorMessage },
});
