import assert from "node:assert/strict";
import { test } from "node:test";
import { fromBinary } from "@bufbuild/protobuf";
import { FileDescriptorProtoSchema } from "@bufbuild/protobuf/wkt";
import { Code, createClient, createRouterTransport } from "@connectrpc/connect";
import { ServerReflection } from "#gen/grpc/reflection/v1/reflection_pb.ts";
import { ServerReflection as ServerReflectionAlpha } from "#gen/grpc/reflection/v1alpha/reflection_pb.ts";
import { IPService } from "#gen/metalstack/api/v2/ip_pb.ts";
import { reflection } from "./reflection.ts";

async function* each<T>(...items: T[]): AsyncIterable<T> {
  yield* items;
}

test("reflection, in both versions, lists services and describes each symbol with all that it imports", async () => {
  const transport = createRouterTransport(reflection([IPService]));
  for (const service of [ServerReflection, ServerReflectionAlpha]) {
    const client = createClient(service as typeof ServerReflection, transport);
    const ask = async (...questions: { case: string; value: unknown }[]) => {
      const answers = [];
      const requests = questions.map((messageRequest) => ({ messageRequest }));
      for await (const a of client.serverReflectionInfo(each(...(requests as never[]))))
        answers.push(a.messageResponse);
      return answers;
    };
    const [list, symbol, method, file, unknown] = await ask(
      { case: "listServices", value: "" },
      { case: "fileContainingSymbol", value: "metalstack.api.v2.IPService" },
      { case: "fileContainingSymbol", value: "metalstack.api.v2.IPService.Create" },
      { case: "fileByFilename", value: "google/protobuf/timestamp.proto" },
      { case: "fileContainingSymbol", value: "no.Such" },
    );
    assert.ok(list?.case === "listServicesResponse");
    assert.deepEqual(
      list.value.service.map((s) => s.name),
      [
        "grpc.reflection.v1.ServerReflection",
        "grpc.reflection.v1alpha.ServerReflection",
        "metalstack.api.v2.IPService",
      ],
    );
    const filesOf = (answer: typeof symbol) => {
      assert.ok(answer?.case === "fileDescriptorResponse");
      return answer.value.fileDescriptorProto.map((bytes) => fromBinary(FileDescriptorProtoSchema, bytes));
    };
    const files = filesOf(symbol);
    const names = new Set(files.map((f) => f.name));
    for (const f of files) for (const dependency of f.dependency) assert.ok(names.has(dependency), dependency);
    assert.equal(files[0]?.name, "metalstack/api/v2/ip.proto");
    assert.equal(filesOf(method)[0]?.name, "metalstack/api/v2/ip.proto");
    assert.equal(filesOf(file).length, 1);
    assert.ok(unknown?.case === "errorResponse" && unknown.value.errorCode === Code.NotFound);
    const [extension, numbers] = await ask(
      {
        case: "fileContainingExtension",
        value: { containingType: "google.protobuf.MethodOptions", extensionNumber: 51001 },
      },
      { case: "allExtensionNumbersOfType", value: "google.protobuf.MethodOptions" },
    );
    assert.equal(filesOf(extension)[0]?.name, "metalstack/api/v2/common.proto");
    assert.ok(numbers?.case === "allExtensionNumbersResponse" && numbers.value.extensionNumber.length === 7);
  }
});
