// For the tests of this part: a server on a real socket that answers as it is told, and a user who types one line.
import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import { Code, ConnectError, type ConnectRouter, type HandlerContext } from "@connectrpc/connect";
import { run } from "@stricli/core";
import { BudgetService } from "#gen/holdfast/api/v1/budget_pb.ts";
import { HistoryService, ThingChangeKind } from "#gen/holdfast/api/v1/history_pb.ts";
import { MachineService as HoldfastMachineService, type WatchResponseSchema } from "#gen/holdfast/api/v1/machine_pb.ts";
import { PartitionService as HoldfastPartitionService } from "#gen/holdfast/api/v1/partition_pb.ts";
import { PlannedFate, PlanService } from "#gen/holdfast/api/v1/plan_pb.ts";
import { QuotaService } from "#gen/holdfast/api/v1/quota_pb.ts";
import { AuditService as AdminAuditService } from "#gen/metalstack/admin/v2/audit_pb.ts";
import { MachineService as AdminMachineService } from "#gen/metalstack/admin/v2/machine_pb.ts";
import { SizeService as AdminSizeService } from "#gen/metalstack/admin/v2/size_pb.ts";
import { AuditPhase, AuditService } from "#gen/metalstack/api/v2/audit_pb.ts";
import {
  MachineProvisioningEventType as Event,
  MachineSchema,
  MachineService,
} from "#gen/metalstack/api/v2/machine_pb.ts";
import { PartitionService } from "#gen/metalstack/api/v2/partition_pb.ts";
import { TokenService } from "#gen/metalstack/api/v2/token_pb.ts";
import { VersionService } from "#gen/metalstack/api/v2/version_pb.ts";
import { type Listening, listen } from "#lib/io/one-port.ts";
import { silentLog } from "#lib/log.ts";
import { Refusal } from "#lib/refusal.ts";
import { connectErrorOf } from "#lib/rpc/refusal-to-connect.ts";
import { VirtualClock } from "#lib/virtual-clock.ts";
import { app } from "../app.ts";
import type { Cli, PostForm } from "../cli.ts";
import { connect } from "../io/connection.ts";
import { postForm } from "../io/post-form.ts";
import { connectSite } from "../io/site-connection.ts";

export const startMs = Date.UTC(2026, 0, 1);
export const uuid = "0b6e1c1e-0000-4000-8000-000000000001";
export const project = "0b6e1c1e-0000-4000-8000-00000000000a";
export const allocated = "0b6e1c1e-0000-4000-8000-0000000000aa";

export type Events = readonly (readonly [Event, number, string?])[];
/** A machine whose events happened so many milliseconds after the start. */
export const machine = (events: Events, allocation = true) =>
  create(MachineSchema, {
    uuid,
    size: { id: "v1-small" },
    partition: { id: "lab" },
    recentProvisioningEvents: {
      events: events.map(([event, ms, message = ""]) => ({ event, time: timestampFromMs(startMs + ms), message })),
    },
    ...(allocation
      ? {
          allocation: {
            uuid: allocated,
            name: "web-1",
            project,
            meta: { createdAt: timestampFromMs(startMs) },
            networks: [{ network: "n", ips: ["10.0.0.5"] }],
          },
        }
      : {}),
  });

/** One machine and one of two networks are there, and all addresses. */
const budget = {
  budget: {
    ...{
      id: uuid,
      partition: "lab",
      project,
      size: "v1-small",
      machinesWanted: 1,
      addressesWanted: 2,
      networksWanted: 2,
    },
    free: { machines: [uuid], addresses: ["10.0.0.5", "10.0.0.6"], networks: ["n1"] },
  },
  problem: "1 networks are missing: none are free now",
};

const act = { uuid, user: "site:alice", method: "/holdfast.site.v1.SiteService/OrderBmc", sourceIp: "10.0.0.9" };
const labels = { "holdfast/partition": "lab" };
/** What central has of one act on site, newest first. */
const traces = [
  {
    ...{ ...act, phase: AuditPhase.RESPONSE, resultCode: Code.NotFound, body: '{"error":"no machine here"}' },
    ...{
      timestamp: timestampFromMs(startMs + 250),
      meta: { labels: { labels: { ...labels, "holdfast/duration-ms": "250" } } },
    },
  },
  {
    ...{ ...act, phase: AuditPhase.REQUEST, body: '{"machine":"rack7"}' },
    ...{ timestamp: timestampFromMs(startMs), meta: { labels: { labels } } },
  },
];

export type View = MessageInitShape<typeof WatchResponseSchema>;

/** What the fake server answers, and what it was asked. */
export let fake: {
  /** Each stream of Watch takes the next list; `cut` at its end breaks the stream. */
  views: (readonly (View | "cut")[])[];
  asked: {
    readonly method: string;
    readonly request: object;
    readonly token: string | null;
    readonly plan: string | null;
    readonly uniqueName: string | null;
  }[];
};

function noted<A>(request: object, context: HandlerContext, answer: A): A {
  const method = `${context.service.typeName.split(".").slice(-3).join(".")}/${context.method.name}`;
  const { $typeName: _, ...plain } = request as { $typeName: string };
  const { requestHeader } = context;
  const plan = requestHeader.get("holdfast-plan");
  const uniqueName = requestHeader.get("holdfast-unique-name");
  fake.asked.push({ method, request: plain, token: requestHeader.get("authorization"), plan, uniqueName });
  return answer;
}

export function routes(router: ConnectRouter): void {
  router.service(VersionService, { get: () => ({ version: { version: "9.9.9" } }) });
  router.service(TokenService, {
    list: (_, context) => {
      if (context.requestHeader.get("authorization") !== "Bearer good")
        throw new ConnectError("unknown", Code.Unauthenticated);
      return {};
    },
    create: (request, context) => noted(request, context, { token: { uuid }, secret: "s3cret" }),
  });
  router.service(PartitionService, {
    list: () => ({
      partitions: [{ id: "lab", description: "the lab", meta: { createdAt: timestampFromMs(startMs - 90_000) } }],
    }),
    get: ({ id }) => {
      throw connectErrorOf(new Refusal("not-found", `partition ${id} is not known`, { reason: "PARTITION_UNKNOWN" }));
    },
  });
  router.service(HoldfastPartitionService, {
    getHistory: ({ id }) => ({
      history: "h2",
      ...(id === "lab" && { hold: { partition: "lab", inForce: "h1", held: "h2", revision: 9n, machinesTotal: 0 } }),
      ...(id === "other" && {
        contradictions: {
          total: 3,
          items: [{ kind: "size", id: "s1", revision: 7n, kept: "00000000000000aa", told: "00000000000000bb" }],
        },
      }),
      ...(id === "late" && { hold: { partition: "late", inForce: "h0", held: "h1", revision: 3n, machinesTotal: 0 } }),
    }),
    acceptHistory: (request, context) => noted(request, context, { accepted: { history: request.history } }),
  });
  router.service(QuotaService, {
    get: ({ project: of }) => ({ quota: { project: of, limits: { machines: 2, networks: 0 } }, used: { machines: 1 } }),
    set: (request, context) =>
      noted(request, context, { quota: { limits: request.limits! }, used: { machines: 1, ips: 3 } }),
  });
  router.service(BudgetService, {
    grant: (request, context) => noted(request, context, { budget }),
    resize: (request, context) => noted(request, context, { budget }),
  });
  router.service(AdminAuditService, { list: (request, context) => noted(request, context, { traces }) });
  router.service(AuditService, { list: (request, context) => noted(request, context, {}) });
  router.service(AdminSizeService, { create: (request, context) => noted(request, context, { size: request.size! }) });
  router.service(AdminMachineService, {
    list: (request, context) => noted(request, context, { machines: [machine([[Event.WAITING, -60_000]], false)] }),
    get: () => ({ machine: machine([[Event.PHONED_HOME, 0]]) }),
    setState: (request, context) => noted(request, context, { machine: machine([[Event.WAITING, 0]]) }),
    bMCCommand: (request, context) => noted(request, context, {}),
  });
  router.service(MachineService, {
    create: (request, context) => noted(request, context, { machine: machine([[Event.WAITING, -60_000]]) }),
    delete: (request, context) => noted(request, context, { machine: machine([[Event.PHONED_HOME, 0]]) }),
    bMCCommand: (request, context) => noted(request, context, {}),
  });
  router.service(HistoryService, {
    get: (request, context) =>
      noted(request, context, {
        thing: { kind: "image", id: "debian", value: { case: "image", value: { id: "debian" } } },
      }),
    list: (request, context) =>
      noted(request, context, {
        changes: [
          {
            revision: 7n,
            at: timestampFromMs(startMs),
            actor: "ann",
            method: "/metalstack.admin.v2.ImageService/Update",
            reason: context.requestHeader.get("holdfast-reason") ?? "",
            kind: ThingChangeKind.CHANGED,
            fields: ["name", "url", "meta.updated_at"],
          },
        ],
        heldAfterTime: timestampFromMs(startMs - 60_000),
      }),
    diff: (request, context) =>
      noted(request, context, {
        differences: [
          { path: "name", before: '"old"', after: '"new"' },
          { path: "url", after: '"u"' },
        ],
      }),
  });
  router.service(PlanService, {
    plan: (request, context) =>
      noted(
        request,
        context,
        request.call.case === "deleteNetwork"
          ? {
              outcome: {
                case: "refusal" as const,
                value: { text: "network n is in use by address 10.0.0.5", reason: "IN_USE" },
              },
            }
          : {
              outcome: {
                case: "plan" as const,
                value: {
                  machines: [
                    {
                      uuid,
                      partition: "lab",
                      epoch: 4n,
                      project,
                      fate: PlannedFate.GIVEN_BACK,
                      wipedDisks: [{ name: "/dev/sda", size: 1024n }],
                    },
                  ],
                  ports: [{ switch: "leaf1", port: "swp1", machine: uuid, becomes: "provisioning" }],
                },
              },
              hash: "7-abc",
              why: ["it is the only one"],
            },
      ),
  });
  router.service(HoldfastMachineService, {
    explain: () => ({
      progress: { why: "waiting for the installer to report" },
      epoch: 3n,
      linkUp: true,
      installations: 1,
      outcomes: [{ id: "o1", error: "its deadline has passed", order: { id: "o1", command: 3, epoch: 3n } }],
      effects: [
        { opId: "e1", effect: "move-port", epoch: 3n, endedAt: { seconds: 1n } },
        { opId: "e2", effect: "boot-installer", epoch: 3n, why: "it is off" },
      ],
    }),
    forget: (request, context) => noted(request, context, {}),
    async *watch(request, context) {
      noted(request, context, undefined);
      for (const view of fake.views.shift() ?? []) {
        if (view === "cut") throw new ConnectError("the server goes away", Code.Unavailable);
        yield view;
      }
      await new Promise((resolve) => context.signal.addEventListener("abort", resolve, { once: true }));
    },
  });
}

/** Nothing listens there: for those who need no server. */
const discardPort = 9;
let server: Listening | undefined;

export const start = async (): Promise<void> => {
  server = await listen({ routes, log: silentLog, limits: { drainMs: 0 } }, { host: "127.0.0.1", port: 0 });
};
export const stop = async (): Promise<void> => server?.stop();
export const serverUrl = (): string => `http://127.0.0.1:${server?.port ?? discardPort}`;
export const reset = (): void => {
  fake = { views: [], asked: [] };
};

interface Writer {
  write(text: string): void;
}

export interface Ran {
  readonly code: number;
  readonly out: string;
  readonly err: string;
  readonly settings: string | undefined;
}

/** Runs one command line. `files` are what can be read; `config` is what was stored before. */
export async function holdfast(
  args: readonly string[],
  given: {
    /** Told of each text on the error stream. */
    onNote?: (text: string) => void;
    /** Told of each text on the output. */
    onSay?: (text: string) => void;
    files?: Record<string, string>;
    env?: Record<string, string>;
    config?: string;
    clock?: VirtualClock;
    isLive?: boolean;
    postForm?: PostForm;
    /** What the user types. */
    typed?: AsyncIterable<Uint8Array> | Iterable<Uint8Array>;
  } = {},
): Promise<Ran> {
  const seen = { out: "", err: "", settings: given.config };
  const streams: { exitCode?: number; stdout: Writer; stderr: Writer } = {
    stdout: {
      write(text) {
        seen.out += text;
        given.onSay?.(text);
      },
    },
    stderr: {
      write(text) {
        seen.err += text;
        given.onNote?.(text);
      },
    },
  };
  const cli: Cli = {
    process: streams,
    clock: given.clock ?? new VirtualClock(startMs),
    signal: new AbortController().signal,
    env: { HOLDFAST_SERVER: serverUrl(), HOLDFAST_TOKEN: "good", ...given.env },
    user: "alice",
    version: "0.0.1",
    isLive: given.isLive ?? false,
    files: {
      settingsPath: "/home/me/config.yaml",
      async read(name) {
        const text = given.files?.[name];
        if (text === undefined) throw new Error("no such file");
        return text;
      },
      readSettings: async () => seen.settings,
      async writeSettings(text) {
        seen.settings = text;
      },
    },
    openTerminal: () => ({
      async *typed(signal) {
        yield* given.typed ?? [];
        await new Promise((resolve) => signal.addEventListener("abort", resolve, { once: true }));
      },
      close() {},
    }),
    connect,
    connectSite,
    postForm: given.postForm ?? postForm,
  };
  await run(app, args, cli);
  return { ...seen, code: streams.exitCode ?? 0 };
}
