// Clients that others wrote, against central as its program starts it: over plain HTTP/2 and over TLS.
import assert from "node:assert/strict";
import { execFile, spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, readFileSync } from "node:fs";
import path from "node:path";
import { after, before, describe, test } from "node:test";
import { promisify } from "node:util";
import {
  create,
  type DescMethod,
  fromBinary,
  type MessageInitShape,
  type MessageShape,
  toBinary,
} from "@bufbuild/protobuf";
import { FileDescriptorProtoSchema } from "@bufbuild/protobuf/wkt";
import grpc from "@grpc/grpc-js";
import { type StartedCentral, startedCentral } from "#central/io/testing/started-central.ts";
import { services } from "#central/services.ts";
import { ErrorInfoSchema } from "#gen/google/rpc/error_details_pb.ts";
import { Health } from "#gen/grpc/health/v1/health_pb.ts";
import { ServerReflection } from "#gen/grpc/reflection/v1/reflection_pb.ts";
import { MachineService } from "#gen/holdfast/api/v1/machine_pb.ts";
import { PartitionService } from "#gen/metalstack/api/v2/partition_pb.ts";
import { UserService } from "#gen/metalstack/api/v2/user_pb.ts";

const run = promisify(execFile);
const timeLimitMs = 60_000;
const buf = new URL("../../node_modules/.bin/buf", import.meta.url).pathname;
const noBuf = existsSync(buf) ? false : "buf is not installed (npm install)";
const folders = (process.env.PATH ?? "").split(path.delimiter);
const noGrpcurl = folders.some((folder) => existsSync(path.join(folder, "grpcurl")))
  ? false
  : "grpcurl is not installed";

for (const [name, yaml] of [
  ["plain HTTP/2", "log: {level: error}"],
  ["TLS", "tls: {names: [127.0.0.1]}"],
] as const) {
  describe(`over ${name}`, () => {
    let central: StartedCentral;
    before(async () => {
      central = await startedCentral(yaml);
    });
    after(() => central.stop());

    describe("grpc-js", () => {
      test("makes a unary call", async () => {
        const { user } = await unary(central, UserService.method.get, {});
        assert.equal(user?.login, "admin");
      });

      test("is told a refusal's code, text and reason", async () => {
        const { code, details, metadata } = await failureOf(
          unary(central, PartitionService.method.get, { id: "nowhere" }),
        );
        assert.deepEqual([code, /nowhere/.test(details)], [grpc.status.NOT_FOUND, true]);
        const [status] = metadata.get("grpc-status-details-bin");
        // Of google.rpc.Status: its details name their types in plain text.
        assert.ok(String(status).includes(ErrorInfoSchema.typeName));
        const { code: without } = await failureOf(unary(central, UserService.method.get, {}, new grpc.Metadata()));
        assert.equal(without, grpc.status.UNAUTHENTICATED);
      });

      test("reads a stream for as long as it likes", async () => {
        const client = clientOf(central);
        const stream = watchMachines(client, central);
        const [first] = (await once(stream, "data")) as [MessageShape<typeof MachineService.method.watch.output>];
        assert.equal(first.initialDone, true);
        stream.cancel();
        const [error] = (await once(stream, "error")) as [grpc.ServiceError];
        assert.equal(error.code, grpc.status.CANCELLED);
        client.close();
      });

      test("asks and is answered by turns on one stream", async () => {
        const client = clientOf(central);
        const { input, output } = ServerReflection.method.serverReflectionInfo;
        const stream = client.makeBidiStreamRequest(
          pathOf(ServerReflection.method.serverReflectionInfo),
          (message: MessageShape<typeof input>) => Buffer.from(toBinary(input, message)),
          (bytes) => fromBinary(output, bytes),
          new grpc.Metadata(),
        );
        for (const value of [UserService.typeName, Health.typeName]) {
          stream.write(create(input, { messageRequest: { case: "fileContainingSymbol", value } }));
          const [{ messageResponse }] = (await once(stream, "data")) as [MessageShape<typeof output>];
          assert.equal(messageResponse.case, "fileDescriptorResponse");
          const files = (messageResponse.value as { fileDescriptorProto: Uint8Array[] }).fileDescriptorProto;
          const described = files.map((bytes) => fromBinary(FileDescriptorProtoSchema, bytes));
          const names = described.flatMap((file) => file.service.map((service) => `${file.package}.${service.name}`));
          assert.ok(names.includes(value), value);
        }
        stream.end();
        await once(stream, "end");
        client.close();
      });

      test("sees its stream end as unavailable when central stops", async () => {
        const stopping = await startedCentral(yaml);
        const client = clientOf(stopping);
        const stream = watchMachines(client, stopping);
        await once(stream, "data");
        const ended = once(stream, "error") as Promise<[grpc.ServiceError]>;
        await stopping.stop();
        const [{ code, details }] = await ended;
        assert.deepEqual([code, details], [grpc.status.UNAVAILABLE, "the server is stopping"]);
        client.close();
      });
    });

    describe("buf curl, which knows the API by reflection alone,", () => {
      const words = ({ baseUrl, caFile, token }: StartedCentral, ...more: string[]) => {
        const trust = baseUrl.startsWith("https") ? ["--cacert", caFile] : [];
        return ["curl", "--http2-prior-knowledge", "-H", `Authorization: Bearer ${token}`, ...trust, ...more];
      };
      const curl = async (...more: string[]): Promise<string> =>
        (await run(buf, words(central, ...more), { timeout: timeLimitMs })).stdout;

      for (const reflection of ["grpc-v1", "grpc-v1alpha"]) {
        test(`lists every service and method by ${reflection}`, { skip: noBuf }, async () => {
          const how = ["--protocol", "grpc", "--reflect-protocol", reflection, central.baseUrl];
          const [shownServices, methods] = [
            await curl("--list-services", ...how),
            await curl("--list-methods", ...how),
          ];
          for (const { typeName, methods: wanted } of services) {
            assert.ok(shownServices.split("\n").includes(typeName), typeName);
            for (const { name } of wanted) assert.ok(methods.split("\n").includes(`${typeName}/${name}`), name);
          }
        });
      }

      for (const protocol of ["grpc", "grpcweb", "connect"]) {
        test(`makes a unary call by ${protocol}, and is told a refusal's code`, { skip: noBuf }, async () => {
          const of = (method: string) => `${central.baseUrl}/metalstack.api.v2.${method}`;
          const answer = await curl("--protocol", protocol, "-d", "{}", of("UserService/Get"));
          assert.equal(JSON.parse(answer).user.login, "admin");
          const refused = curl("--protocol", protocol, "-d", '{"id":"nowhere"}', of("PartitionService/Get"));
          await assert.rejects(refused, { code: grpc.status.NOT_FOUND << 3 });
        });
      }

      test("sees health", { skip: noBuf }, async () => {
        const answer = await curl("--protocol", "grpc", "-d", "{}", `${central.baseUrl}/grpc.health.v1.Health/Check`);
        assert.equal(JSON.parse(answer).status, "SERVING");
      });

      test("reads streams by every protocol, until central stops and says so", { skip: noBuf }, async () => {
        const stopping = await startedCentral(yaml);
        const method = `${stopping.baseUrl}/holdfast.api.v1.MachineService/Watch`;
        const watchers = ["grpc", "grpcweb", "connect"].map((protocol) => {
          const child = spawn(buf, words(stopping, "--protocol", protocol, "-d", "{}", method), {
            timeout: timeLimitMs,
          });
          return { child, printed: once(child.stdout, "data"), said: textOf(child.stderr), gone: once(child, "close") };
        });
        for (const { printed } of watchers) assert.match(String(await printed), /"initialDone":\s*true/);
        await stopping.stop();
        for (const { gone, said } of watchers) {
          assert.deepEqual(await gone, [grpc.status.UNAVAILABLE << 3, null]);
          assert.match(await said, /the server is stopping/);
        }
      });
    });

    describe("grpcurl, which knows the API by reflection alone,", () => {
      const grpcurl = async (flags: readonly string[], ...words: string[]): Promise<string> => {
        const { protocol, host } = new URL(central.baseUrl);
        const trust = protocol === "https:" ? ["-cacert", central.caFile] : ["-plaintext"];
        const all = [...trust, "-H", `Authorization: Bearer ${central.token}`, ...flags, host, ...words];
        return (await run("grpcurl", all, { timeout: timeLimitMs })).stdout;
      };

      test("lists, describes and calls", { skip: noGrpcurl }, async () => {
        assert.match(await grpcurl([], "list"), /^metalstack\.api\.v2\.UserService$/m);
        assert.match(await grpcurl([], "describe", "metalstack.api.v2.UserService"), /rpc Get/);
        const answer = await grpcurl(["-d", "{}"], "metalstack.api.v2.UserService/Get");
        assert.equal(JSON.parse(answer).user.login, "admin");
      });

      test("reads a stream until its time is over", { skip: noGrpcurl }, async () => {
        const watched = grpcurl(["-d", "{}", "-max-time", "1"], "holdfast.api.v1.MachineService/Watch");
        await assert.rejects(watched, (error: { stdout: string }) => /"initialDone":\s*true/.test(error.stdout));
      });
    });
  });
}

async function textOf(chunks: AsyncIterable<Buffer>): Promise<string> {
  let text = "";
  for await (const chunk of chunks) text += chunk.toString("utf8");
  return text;
}

const pathOf = (method: DescMethod): string => `/${method.parent.typeName}/${method.name}`;

function watchMachines(client: grpc.Client, central: StartedCentral) {
  const { input, output } = MachineService.method.watch;
  return client.makeServerStreamRequest(
    pathOf(MachineService.method.watch),
    (message: MessageShape<typeof input>) => Buffer.from(toBinary(input, message)),
    (bytes) => fromBinary(output, bytes),
    create(input, {}),
    authorized(central),
  );
}

function clientOf({ baseUrl, caFile }: StartedCentral): grpc.Client {
  const { protocol, host } = new URL(baseUrl);
  const isTls = protocol === "https:";
  return new grpc.Client(
    host,
    isTls ? grpc.credentials.createSsl(readFileSync(caFile)) : grpc.credentials.createInsecure(),
  );
}

function authorized({ token }: StartedCentral): grpc.Metadata {
  const metadata = new grpc.Metadata();
  metadata.set("authorization", `Bearer ${token}`);
  return metadata;
}

async function unary<M extends DescMethod>(
  central: StartedCentral,
  method: M,
  request: MessageInitShape<M["input"]>,
  metadata = authorized(central),
): Promise<MessageShape<M["output"]>> {
  const client = clientOf(central);
  try {
    return await new Promise((resolve, reject) => {
      client.makeUnaryRequest(
        pathOf(method),
        (message: MessageShape<M["input"]>) => Buffer.from(toBinary(method.input, message)),
        (bytes) => fromBinary(method.output, bytes) as MessageShape<M["output"]>,
        create(method.input, request) as MessageShape<M["input"]>,
        metadata,
        (error, response) => (error || !response ? reject(error) : resolve(response)),
      );
    });
  } finally {
    client.close();
  }
}

const failureOf = (call: Promise<unknown>): Promise<grpc.ServiceError> =>
  call.then(
    () => assert.fail("it was not refused"),
    (error: grpc.ServiceError) => error,
  );
