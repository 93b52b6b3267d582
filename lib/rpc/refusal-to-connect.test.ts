import assert from "node:assert/strict";
import { test } from "node:test";
import { Code, ConnectError, type ConnectRouter, createClient, createRouterTransport } from "@connectrpc/connect";
import { BadRequestSchema, ErrorInfoSchema } from "#gen/google/rpc/error_details_pb.ts";
import { Health } from "#gen/grpc/health/v1/health_pb.ts";
import { type LogFields, silentLog } from "../log.ts";
import type { Random } from "../random.ts";
import { Refusal } from "../refusal.ts";
import { refusals } from "./refusal-to-connect.ts";

/** Always the same, so that an id never looks like what a test says is not told. */
const random: Random = {
  bytes: (count) => new Uint8Array(count).fill(0xab),
  below: () => 0,
  uuid: () => "abababab-abab-4bab-abab-abababababab",
};

const failureOf = async (routes: (router: ConnectRouter) => void, logged: LogFields[] = []): Promise<ConnectError> => {
  const log = { ...silentLog, error: (_event: string, fields?: LogFields) => void logged.push(fields ?? {}) };
  const transport = createRouterTransport(routes, {
    router: { interceptors: [refusals({ log, random })] },
  });
  const client = createClient(Health, transport);
  const calls = [client.check({}), client.watch({})[Symbol.asyncIterator]().next()];
  const [unary, stream] = await Promise.all(
    calls.map((call) =>
      call.then(
        () => assert.fail(),
        (e: ConnectError) => e,
      ),
    ),
  );
  assert.equal(unary?.code, stream?.code);
  return unary as ConnectError;
};

const failing = (error: unknown) => (router: ConnectRouter) =>
  router.service(Health, {
    check() {
      throw error;
    },
    // biome-ignore lint/correctness/useYield: it fails before its first answer
    async *watch() {
      throw error;
    },
  });

test("a refusal keeps its code and text and says reason and field, in calls and in streams", async () => {
  const error = await failureOf(
    failing(new Refusal("precondition", "machine m is locked", { reason: "MACHINE_LOCKED", field: "uuid" })),
  );
  assert.equal(error.code, Code.FailedPrecondition);
  assert.equal(error.rawMessage, "machine m is locked");
  assert.equal(error.findDetails(ErrorInfoSchema)[0]?.reason, "MACHINE_LOCKED");
  assert.equal(error.findDetails(BadRequestSchema)[0]?.fieldViolations[0]?.field, "uuid");
});

test("a refusal in words of the caller's is cut, and can be sent by every protocol", async () => {
  const halves = `project ${"a\ud83d\ude00".repeat(3_000).slice(0, 4)}`;
  for (const text of [halves, "\ud83d\ude00".repeat(100_000)]) {
    const error = await failureOf(failing(new Refusal("not-found", text, { field: text })));
    assert.ok(error.rawMessage.length <= 1_024, `${error.rawMessage.length}`);
    assert.ok(encodeURIComponent(error.rawMessage).length > 0);
    assert.ok((error.findDetails(BadRequestSchema)[0]?.fieldViolations[0]?.field.length ?? 0) <= 256);
  }
});

test("any other failure tells the caller only where to find it in the log", async () => {
  const logged: LogFields[] = [];
  const error = await failureOf(failing(new TypeError("the secret is 42")), logged);
  assert.equal(error.code, Code.Internal);
  assert.doesNotMatch(error.message, /42/);
  assert.ok(logged.some((fields) => error.message.includes(String(fields.request))));
});

test("an error that a handler has already put into Connect's terms passes", async () => {
  assert.equal((await failureOf(failing(new ConnectError("later", Code.Unavailable)))).code, Code.Unavailable);
});
