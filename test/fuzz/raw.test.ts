// Over the real port: whatever bytes come, the answer is an error of a kind, and the next caller is served.
import assert from "node:assert/strict";
import { once } from "node:events";
import http from "node:http";
import http2 from "node:http2";
import { after, before, test } from "node:test";
import type { DescMethod } from "@bufbuild/protobuf";
import { createClient } from "@connectrpc/connect";
import { createGrpcTransport } from "@connectrpc/connect-node";
import { requests } from "#central/access/testing/requests.ts";
import { services } from "#central/services.ts";
import type { CentralWithMachines } from "#central/testing/machines.ts";
import { type TwoTenants, twoTenants } from "#central/testing/two-tenants.ts";
import { wholeCentral } from "#central/testing/whole.ts";
import { VersionService } from "#gen/metalstack/api/v2/version_pb.ts";
import { type Listening, listen } from "#lib/io/one-port.ts";
import { silentLog } from "#lib/log.ts";
import { Seeded } from "#lib/seeded.ts";
import { type RawRequest, rawRequest } from "./raw.ts";

const calls = 1_000;
const seed = Number(process.env.FUZZ_SEED ?? 1);
/** A call is answered by then, if the machine is not very busy; a stream that waits is left after less. */
const answerMs = 20_000;
const listenedMs = 200;

const failures: string[] = [];
const log = {
  ...silentLog,
  error: (event: string, fields?: object) => void failures.push(`${event} ${fields && JSON.stringify(fields)}`),
};

let central: CentralWithMachines;
let world: TwoTenants;
let port: Listening;
before(async () => {
  central = await wholeCentral({ log });
  world = await twoTenants(central);
  const { routes, interceptors } = central.api;
  port = await listen(
    { routes, interceptors, log, limits: { headersMs: 1_000, requestMs: 2_000, drainMs: 500 } },
    { host: "127.0.0.1", port: 0 },
  );
});
after(async () => {
  await port.stop();
  await central.close();
});

interface Answer {
  readonly status: number;
  /** gRPC's, wherever it stands; undefined: there is none. */
  readonly grpcStatus?: number | undefined;
  readonly text: string;
}

test("spoilt requests over the port are refused with an error of a kind, tell nothing of the inside, and harm nobody", async () => {
  console.log(`seed ${seed}`);
  const random = new Seeded(seed);
  const methods = services.flatMap((s): DescMethod[] => s.methods);
  const requestOf = requests(world);
  const about = { subject: world.ours, thing: world.ours };
  // By default a session of node's takes no more answers once one request of 10 MB was on its way.
  const session = http2.connect(`http://127.0.0.1:${port.port}`, { maxSessionMemory: 100 });
  // Who may everything, and who is told of things that are not theirs to see.
  const tokens = [central.adminToken, central.ownerToken];
  const kinds = new Map<string, number>();
  for (let at = 0; at < calls; at++) {
    const method = random.pick(methods);
    const request = rawRequest(method, requestOf(method, about), random, `Bearer ${random.pick(tokens)}`);
    const answer = await withinTime(
      request.protocol === "grpc" ? overHttp2(session, request) : overHttp1(request),
      method,
    );
    const wrong = wrongWith(answer, method) ?? failures.shift();
    const kind = `${request.protocol} ${answer.status}${answer.grpcStatus === undefined ? "" : `/${answer.grpcStatus}`}`;
    kinds.set(kind, (kinds.get(kind) ?? 0) + 1);
    assert.equal(wrong, undefined, `${seed}:${at} ${request.protocol} ${request.path} ${request.what}: ${wrong}`);
  }
  session.close();
  console.log(
    [...kinds]
      .sort()
      .map(([kind, count]) => `${kind}: ${count}`)
      .join(", "),
  );
  const transport = createGrpcTransport({ baseUrl: `http://127.0.0.1:${port.port}` });
  assert.ok((await createClient(VersionService, transport).get({})).version);
});

/** The one mistake of a caller for which gRPC wants INTERNAL. @source gRPC, doc/compression.md */
const askedFor = /received( |%20)compressed( |%20)envelope/;

function wrongWith({ status, grpcStatus, text }: Answer, { methodKind }: DescMethod): string | undefined {
  if (status === 0) return methodKind === "unary" ? `no answer: ${text}` : undefined;
  const shown = text.slice(0, 300);
  if (askedFor.test(text)) return undefined;
  if (status >= 500 && status !== 501 && status !== 503 && status !== 504) return `HTTP ${status}: ${shown}`;
  if (grpcStatus === 13 || grpcStatus === 2) return `gRPC status ${grpcStatus}: ${shown}`;
  if (/"code":"(internal|unknown)"/.test(text)) return shown;
  if (/\.(ts|js):\d+|node_modules|node:internal/.test(text)) return `it tells where it failed: ${shown}`;
  return undefined;
}

/** 0 stands for no answer in time: the caller leaves. */
const silent: Answer = { status: 0, text: "" };

const grpcIn = (text: string): number | undefined => {
  const found = /grpc-status: ?(\d+)/.exec(text)?.[1];
  return found === undefined ? undefined : Number(found);
};

interface Call {
  readonly answered: Promise<Answer>;
  readonly leave: () => void;
}

function overHttp1({ path, headers, body }: RawRequest): Call {
  const req = http.request({ port: port.port, host: "127.0.0.1", path, method: "POST", headers, agent: false });
  const answered = new Promise<Answer>((resolve) => {
    req.once("error", (error) => resolve({ status: 0, text: `${error}` }));
    req.once("response", (res) => {
      const chunks: Buffer[] = [];
      const done = () => {
        const text = Buffer.concat(chunks).toString("latin1");
        resolve({ status: res.statusCode ?? 0, grpcStatus: grpcIn(text), text });
      };
      res.on("data", (chunk: Buffer) => chunks.push(chunk));
      res.once("end", done);
      res.once("error", done);
    });
  });
  req.end(body);
  return { answered, leave: () => void req.destroy() };
}

function overHttp2(session: http2.ClientHttp2Session, { path, headers, body }: RawRequest): Call {
  const stream = session.request({ ":path": path, ":method": "POST", ...headers });
  const answered = new Promise<Answer>((resolve) => {
    const said: Record<string, unknown> = {};
    const chunks: Buffer[] = [];
    stream.on("response", (of) => Object.assign(said, of));
    stream.on("trailers", (of) => Object.assign(said, of));
    stream.on("data", (chunk: Buffer) => chunks.push(chunk));
    stream.on("error", () => {});
    stream.once("close", () => {
      const status = said["grpc-status"] === undefined ? undefined : Number(said["grpc-status"]);
      const text = `${said["grpc-message"] ?? ""} ${Buffer.concat(chunks).toString("latin1")}`;
      resolve({ status: Number(said[":status"] ?? 0), grpcStatus: status, text });
    });
  });
  stream.end(body);
  return { answered, leave: () => stream.close(http2.constants.NGHTTP2_CANCEL) };
}

async function withinTime({ answered, leave }: Call, { methodKind }: DescMethod): Promise<Answer> {
  const late = new AbortController();
  const timer = setTimeout(() => late.abort(), methodKind === "unary" ? answerMs : listenedMs);
  try {
    return await Promise.race([answered, once(late.signal, "abort").then(() => silent)]);
  } finally {
    clearTimeout(timer);
    leave();
  }
}
