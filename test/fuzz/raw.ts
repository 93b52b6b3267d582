// Requests as bytes: spoilt protobuf and JSON, envelopes that lie, headers of all kinds, for every protocol of the port.
import { gzipSync } from "node:zlib";
import { type DescMethod, type Message, toBinary, toJsonString } from "@bufbuild/protobuf";
import type { Seeded } from "#lib/seeded.ts";

export const protocols = ["connect", "connect-stream", "grpc", "grpc-web"] as const;
export type Protocol = (typeof protocols)[number];

export interface RawRequest {
  readonly protocol: Protocol;
  readonly path: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: Uint8Array;
  /** What was done to it, in words. */
  readonly what: string;
}

const text = (of: string): Uint8Array => Buffer.from(of);
const big = 5 << 20;

/** A field of a number that no message has, in each wire type; the group never ends. */
const unknownFields: readonly Uint8Array[] = [
  Uint8Array.of(0xf8, 0xff, 0x7f, 0x01),
  Uint8Array.of(0xfa, 0xff, 0x7f, 0x03, 1, 2, 3),
  Uint8Array.of(0xfd, 0xff, 0x7f, 1, 2, 3, 4),
  Uint8Array.of(0xfb, 0xff, 0x7f),
];

type Spoil = (good: Uint8Array, random: Seeded) => Uint8Array;

const spoilings: Readonly<Record<string, Spoil>> = {
  "left as it is": (good) => good,
  "cut off": (good, random) => good.slice(0, random.below(good.length + 1)),
  "one byte turned": (good, random) => {
    const bytes = Uint8Array.from(good);
    if (bytes.length > 0) bytes[random.below(bytes.length)] = random.below(256);
    return bytes;
  },
  "random bytes": (_, random) => random.bytes(random.pick([1, 7, 100, 4_000])),
  "a length of 4 GiB": () => Uint8Array.of(0x0a, 0xff, 0xff, 0xff, 0xff, 0x0f, 1),
  "a varint without end": () => new Uint8Array(64).fill(0xff),
  "unknown fields": (good, random) => Buffer.concat([good, random.pick(unknownFields)]),
  "ten thousand messages deep": () => nested(10_000),
  "text that is not UTF-8": () => Uint8Array.of(0x0a, 2, 0xc3, 0x28, 0x12, 3, 0xed, 0xa0, 0x80),
  "5 MB of one text": () => Buffer.concat([Uint8Array.of(0x0a, 0x80, 0x80, 0xc0, 0x02), Buffer.alloc(big, "x")]),
  "5 MB of zeros": () => new Uint8Array(big),
  "more than the port takes": () => new Uint8Array((16 << 20) + 1),
};

const jsons: Readonly<Record<string, (good: string, random: Seeded) => string>> = {
  "left as it is": (good) => good,
  "cut off": (good, random) => good.slice(0, random.below(good.length)),
  nothing: () => "",
  "a list": () => "[]",
  null: () => "null",
  "a number": () => "1e999",
  "unknown fields": (good) => `{"nothing":{"like":["this"]},${good.slice(1)}`,
  "fields twice": (good) => `{"project":"a","project":"b","uuid":"c","uuid":1,${good.slice(1)}`,
  "other types": () => '{"project":1,"uuid":{},"id":[],"login":true,"query":"x","name":null}',
  "half a character": () => '{"project":"\\ud800","id":"\\udfff","login":"\\ud800x"}',
  "the names of JavaScript": () => '{"__proto__":{"x":1},"constructor":{"prototype":{}},"project":"__proto__"}',
  "a hundred thousand lists deep": () => `{"query":${"[".repeat(100_000)}`,
  "ten thousand objects deep": () => `${'{"query":'.repeat(10_000)}1${"}".repeat(10_000)}`,
  "5 MB of one text": () => `{"project":"${"x".repeat(big)}"}`,
  "5 MB of labels": () => `{"labels":{"labels":{${Array.from({ length: 200_000 }, (_, i) => `"label-${i}":"${i}"`)}}}}`,
  "a key of a million characters": () => `{"labels":{"labels":{"${"k".repeat(1_000_000)}":""}}}`,
  "three thousand wrong things": () =>
    `{"hardware":{"nics":[${Array(3_000).fill('{"mac":"x"}')}]},"prefixes":[${Array(3_000).fill('"x"')}]}`,
  "emoji that cuts divide": () => `{"project":"a${"\u{1f600}".repeat(500)}","login":"a${"\u{1f600}".repeat(500)}"}`,
  "no JSON": () => "<xml/>",
  "unknown names of enums": () => '{"role":"KING","type":99999999999,"command":"EXPLODE"}',
  "times that are none": () => '{"expires":"soon","startedAt":"yesterday","updatedAt":"9999-99-99T00:00:00Z"}',
};

const moreHeaders: readonly Readonly<Record<string, string>>[] = [
  { "connect-timeout-ms": "soon", "grpc-timeout": "soon" },
  { "connect-timeout-ms": "99999999999", "grpc-timeout": "999999999H" },
  { "connect-timeout-ms": "-1", "grpc-timeout": "1" },
  { "content-encoding": "zip", "grpc-encoding": "zip", "connect-content-encoding": "zip" },
  { "content-encoding": "gzip", "grpc-encoding": "gzip", "connect-content-encoding": "gzip" },
  { "connect-protocol-version": "99" },
  { "accept-encoding": "x,y;q=a", "grpc-accept-encoding": ",,," },
  { authorization: `Bearer ${"x".repeat(8_000)}` },
  { authorization: "Bearer a b c" },
  { "x-forwarded-for": "1.2.3.4, ::1, nonsense" },
  { "tracestate-bin": "%%%" },
];

const contentTypes: Readonly<Record<Protocol, { readonly binary: string; readonly json: string }>> = {
  connect: { binary: "application/proto", json: "application/json" },
  "connect-stream": { binary: "application/connect+proto", json: "application/connect+json" },
  grpc: { binary: "application/grpc+proto", json: "application/grpc+json" },
  "grpc-web": { binary: "application/grpc-web+proto", json: "application/grpc-web+json" },
};

export function rawRequest(method: DescMethod, good: Message, random: Seeded, authorization: string): RawRequest {
  const isUnary = method.methodKind === "unary";
  const protocol = random.pick(
    protocols.filter(
      (p) => (p === "connect" && isUnary) || (p === "connect-stream" && !isUnary) || p.startsWith("grpc"),
    ),
  );
  const isJson = random.chance(0.5);
  const names = Object.keys(isJson ? jsons : spoilings);
  // What takes megabytes comes seldom.
  const name = random.pick(names.filter((n) => !/MB|more than/.test(n) || random.chance(0.1)));
  const message = isJson
    ? text(jsons[name]?.(toJsonString(method.input, good), random) ?? "")
    : (spoilings[name]?.(toBinary(method.input, good), random) ?? new Uint8Array());
  const odd = random.chance(0.3) ? random.pick(moreHeaders) : {};
  const types = contentTypes[protocol];
  const wrongType = random.pick([
    "text/plain",
    "application/grpc+xml",
    "application/json; charset=utf-16",
    "a/b/c",
    "",
  ]);
  const type = random.chance(0.03) ? wrongType : isJson ? types.json : types.binary;
  const isPacked = Object.values(odd).includes("gzip") && random.chance(0.7);
  const packed = isPacked ? gzipSync(message) : message;
  const body = protocol === "connect" ? packed : enveloped(packed, random, isPacked);
  return {
    protocol,
    path: `/${method.parent.typeName}/${method.name}`,
    headers: { authorization, "content-type": type, te: "trailers", ...odd },
    body,
    what: `${name}, as ${type}${Object.keys(odd).length > 0 ? ` with ${JSON.stringify(odd).slice(0, 100)}` : ""}`,
  };
}

/** Five bytes before each message: flags and length. Sometimes they lie. */
function enveloped(message: Uint8Array, random: Seeded, isPacked: boolean): Uint8Array {
  const head = Buffer.alloc(5);
  head[0] = random.chance(0.05) ? random.below(256) : isPacked ? 1 : 0;
  head.writeUInt32BE(random.chance(0.05) ? random.pick([0, 1, message.length + 9, 2 ** 32 - 1]) : message.length, 1);
  const one = Buffer.concat([head, message]);
  return random.chance(0.05) ? Buffer.concat([one, one]) : one;
}

/** Field 2 of field 2 of …: each message is as long as what is in it. */
function nested(depth: number): Uint8Array {
  const parts: number[][] = [];
  let length = 0;
  for (let i = 0; i < depth; i++) {
    const head = [0x12, ...varint(length)];
    parts.push(head);
    length += head.length;
  }
  return Uint8Array.from(parts.reverse().flat());
}

function varint(value: number): number[] {
  const bytes: number[] = [];
  for (let left = value; ; left >>>= 7) {
    if (left < 128) return [...bytes, left];
    bytes.push((left & 127) | 128);
  }
}
