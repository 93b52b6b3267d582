// Plants a canary in every secret field of every audited method, and looks for it in all that is written down and logged.
import assert from "node:assert/strict";
import { test } from "node:test";
import { create, type DescMessage, type Message, ScalarType } from "@bufbuild/protobuf";
import { type ReflectMessage, reflect } from "@bufbuild/protobuf/reflect";
import { Code, ConnectError, createContextValues, createRouterTransport, type Interceptor } from "@connectrpc/connect";
import type { AuditTrace } from "#gen/metalstack/api/v2/audit_pb.ts";
import { TokenType } from "#gen/metalstack/api/v2/token_pb.ts";
import { systemRandom as random } from "#lib/io/system-random.ts";
import { refusals } from "#lib/rpc/refusal-to-connect.ts";
import { VirtualClock } from "#lib/virtual-clock.ts";
import { callerKey } from "../access/caller.ts";
import { unboundedRights } from "../access/rights.ts";
import { methodName } from "../access/rule.ts";
import { Lines } from "../io/testing/state-rehearsal.ts";
import { rules } from "../rules.ts";
import { services } from "../services.ts";
import { MemoryStore } from "../store/memory-store.ts";
import { openState } from "../store/state.ts";
import { bodyOf } from "./body.ts";
import { auditing } from "./interceptor.ts";
import { Recorder } from "./recorder.ts";
import { isSecret } from "./secret-fields.ts";

const canary = "canary-3f9c17";
const traits = [canary, Buffer.from(canary).toString("base64"), Buffer.from(canary).toString("base64url")];
const audited = services.flatMap((s) => s.methods).filter((method) => rules.get(methodName(method))?.isAudited);

/** A message with something in every field, the canary in each that is secret. */
function filled(desc: DescMessage, planted: string[], above: readonly DescMessage[] = []): Message {
  const message = create(desc) as Message;
  const into = reflect(desc, message);
  if (desc.typeName.startsWith("google.protobuf.") || above.filter((d) => d === desc).length > 1) return message;
  const inner = (of: DescMessage): ReflectMessage => reflect(of, filled(of, planted, [...above, desc]));
  for (const field of desc.fields) {
    if (isSecret(field)) planted.push(`${desc.typeName}.${field.name}`);
    const scalar = (type: ScalarType | undefined) => scalarOf(type, isSecret(field) ? canary : "plain");
    if (field.fieldKind === "scalar") into.set(field, scalar(field.scalar));
    else if (field.fieldKind === "enum") into.set(field, field.enum.values.at(-1)?.number ?? 0);
    else if (field.fieldKind === "message") into.set(field, inner(field.message));
    else if (field.fieldKind === "list") {
      const item = field.message ? inner(field.message) : field.enum ? 1 : scalar(field.scalar);
      into.get(field).add(item);
    } else {
      const value = field.message ? inner(field.message) : field.enum ? 1 : scalar(field.scalar);
      into.get(field).set(scalarOf(field.mapKey, "key"), value);
    }
  }
  return message;
}

function scalarOf(type: ScalarType | undefined, text: string): string | Uint8Array | boolean | bigint | number {
  switch (type) {
    case ScalarType.STRING:
      return text;
    case ScalarType.BYTES:
      return Buffer.from(text);
    case ScalarType.BOOL:
      return true;
    case ScalarType.INT64:
    case ScalarType.UINT64:
    case ScalarType.FIXED64:
    case ScalarType.SFIXED64:
    case ScalarType.SINT64:
      return 1n;
    default:
      return 1;
  }
}

const isClean = (text: string, where: string) => {
  for (const trait of traits) assert.ok(!text.includes(trait), `${where}: ${text}`);
};

test("no secret of any request or answer, audited or not, is left in its body, and what is not secret is", () => {
  const planted: string[] = [];
  for (const method of services.flatMap((s) => s.methods)) {
    for (const desc of [method.input, method.output]) {
      const message = filled(desc, planted);
      const { text } = bodyOf(desc, message);
      isClean(text, desc.typeName);
      assert.ok(!text.includes("unreadable"), `${desc.typeName}: ${text}`);
      if (desc.fields.some((f) => f.fieldKind === "scalar" && f.scalar === ScalarType.STRING && !isSecret(f)))
        assert.ok(text.includes("plain"), `${desc.typeName}: ${text}`);
    }
  }
  assert.ok(new Set(planted).size > 25, `${planted.length}`);
});

test("no secret of an audited call reaches its traces, the printed lines or the log, whether it succeeds, is refused or fails", async () => {
  const [clock, log, stop] = [new VirtualClock(), new Lines(), new AbortController()];
  const state = await openState({ store: new MemoryStore({ clock, random }), clock, random, log }, stop.signal);
  const told: AuditTrace[] = [];
  const retention = { keepMs: 1e9, bytesMax: 1e9 };
  const recorder = new Recorder({ state, clock, log, retention, tell: (trace) => told.push(trace) });
  const { around, begun } = auditing({ rules, recorder, state, clock, random, log });
  const known: Interceptor = (next) => (request) => {
    const rights = { user: "ann", token: "t", tokenType: TokenType.USER, rights: unboundedRights };
    request.contextValues.set(callerKey, { ...rights, owner: unboundedRights, partition: undefined });
    return next(request);
  };
  for (const method of audited) {
    const ends: (() => Message)[] = [
      () => filled(method.output, []),
      () => {
        throw new ConnectError(`there is no ${canary}`, Code.NotFound);
      },
    ];
    for (const end of ends) {
      const transport = createRouterTransport((router) => router.rpc(method as never, end as never), {
        router: { interceptors: [around, refusals({ log, random }), known, begun] },
      });
      const planted: string[] = [];
      const request = filled(method.input, planted);
      // An error can only name what the request said.
      if (end !== ends[0] && !planted.some((field) => field.endsWith("secret") || field.endsWith("userdata"))) continue;
      const values = createContextValues();
      const call = transport.unary(method as never, undefined, undefined, undefined, request as never, values);
      await call.catch((error: unknown) => assert.equal(ConnectError.from(error).code, Code.NotFound, `${error}`));
    }
  }
  assert.ok(told.length >= audited.length * 2, `${told.length}`);
  for (const trace of told)
    isClean(
      JSON.stringify(trace, (_, v) => (typeof v === "bigint" ? `${v}` : v)),
      trace.method,
    );
  isClean(
    JSON.stringify(log.lines, (_, v) => (typeof v === "bigint" ? `${v}` : v)),
    "log",
  );
  stop.abort();
  await state.close();
});
