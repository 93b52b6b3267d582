// The commands for people on site, against an agent on a real socket that answers as it is told.
import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { after, before, beforeEach, describe, test } from "node:test";
import { setImmediate as turn } from "node:timers/promises";
import type { MessageInitShape } from "@bufbuild/protobuf";
import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import { Code, ConnectError, type ConnectRouter, type HandlerContext } from "@connectrpc/connect";
import { type SiteMachineSchema, SiteMachineState } from "#gen/holdfast/site/v1/machine_pb.ts";
import { type OrderBmcResponseSchema, SiteService } from "#gen/holdfast/site/v1/site_pb.ts";
import { AuditPhase } from "#gen/metalstack/api/v2/audit_pb.ts";
import {
  MachineBMCCommand as Command,
  MachineProvisioningEventType as Event,
} from "#gen/metalstack/api/v2/machine_pb.ts";
import { type Listening, listen } from "#lib/io/one-port.ts";
import { silentLog } from "#lib/log.ts";
import { Refusal } from "#lib/refusal.ts";
import { connectErrorOf } from "#lib/rpc/refusal-to-connect.ts";
import { userHeader } from "#lib/rpc/user-header.ts";
import { VirtualClock } from "#lib/virtual-clock.ts";
import { app } from "../app.ts";
import type { Cli } from "../cli.ts";
import { proposals } from "../command/propose.ts";
import { holdfast, startMs, uuid } from "../testing/rehearsal.ts";
import { sitePlace } from "./place.ts";

const folder = mkdtempSync(path.join(tmpdir(), "holdfast-cli-site-"));
const socket = path.join(folder, "site.sock");
const ago = (ms: number) => timestampFromMs(startMs - ms);

let views: (MessageInitShape<typeof OrderBmcResponseSchema> | "cut")[];
let asked: { readonly request: object; readonly user: string | null }[];
beforeEach(() => {
  views = [];
  asked = [];
});

const machine: MessageInitShape<typeof SiteMachineSchema> = {
  uuid,
  macs: ["52:54:00:00:00:01"],
  hostname: "web-1",
  state: SiteMachineState.IN_USE,
  epoch: 4n,
  powerState: "off",
  heldOff: true,
  port: { switch: "leaf1", port: "swp1", network: "tenant" },
  wantedNetwork: "tenant",
  bootTarget: "disk",
  progress: { why: "it was switched off by an order", since: ago(60_000), next: "an order switches it on again" },
  lastEvent: Event.PHONED_HOME,
  lastEventAt: ago(90_000),
  bmcAddress: "10.0.0.9",
  orders: [
    {
      id: "o2",
      command: Command.MACHINE_BMC_COMMAND_RESET,
      issuedBy: "site:bob",
      deadline: timestampFromMs(startMs + 5000),
    },
  ],
  outcomes: [
    { id: "o1", at: ago(30_000), error: "no answer" },
    {
      id: "o0",
      at: ago(40_000),
      order: { id: "o0", command: Command.MACHINE_BMC_COMMAND_OFF, issuedBy: "alice", epoch: 4n },
    },
  ],
  effects: [
    { opId: "e1", effect: "move-port", epoch: 4n, why: "moving port swp1", begunAt: ago(60_000), endedAt: ago(59_000) },
    { opId: "e2", effect: "boot-installer", epoch: 4n, why: "it is off", begunAt: ago(5_000) },
  ],
};

const historyHold = {
  partition: "rack1",
  inForce: "h1",
  held: "h2",
  revision: 9n,
  since: ago(300_000),
  machines: [
    {
      uuid,
      inForce: "epoch 7, free",
      held: "epoch 6, allocated to project p",
      seen: "works for nobody",
      consequence: "it is wiped",
    },
  ],
  machinesTotal: 3,
  others: [
    { kind: "image", items: 4 },
    {
      kind: "network",
      items: 2,
      named: [{ id: "n1", inForce: "revision 7", held: "revision 6", fields: ["prefixes", "vrf"] }],
    },
  ],
};

function routes(router: ConnectRouter): void {
  const note = (request: object, context: HandlerContext) =>
    asked.push({ request, user: context.requestHeader.get(userHeader) });
  router.service(SiteService, {
    getStatus: () => ({
      status: {
        version: "1.2.3",
        partition: "rack1",
        startedAt: ago(3 * 3_600_000),
        link: { phase: "backing off", since: ago(300_000), lastError: "nothing listens there" },
        certificate: { notAfter: ago(-2 * 86_400_000), renewAt: ago(60_000), problem: "central is away" },
        ledger: { history: "h1", revision: 42n },
        contradictions: { total: 1, items: [{ kind: "size", id: "s1", revision: 7n, kept: "aa", told: "bb" }] },
        outbox: { kinds: [{ kind: "machine", entries: 12, bytes: 2048n }], oldestAt: ago(300_000), deadLetters: 1 },
        images: [
          { id: "debian-13", atHand: true },
          { id: "debian-12", problem: "the source is away" },
        ],
        diskFreeBytes: 1n << 30n,
        diskSizeBytes: 4n << 30n,
        address: { url: "https://10.0.0.1:8444", fingerprint: "AB:CD" },
        safeMode: "somebody to accept that central was restored",
        historyHold,
        machines: [
          { state: SiteMachineState.IN_USE, machines: 2 },
          { state: SiteMachineState.READY, machines: 1 },
        ],
      },
    }),
    listMachines: () => ({ machines: [machine] }),
    getMachine: ({ machine: word }) => {
      if (word !== "web-1" && word !== uuid)
        throw connectErrorOf(new Refusal("not-found", `no machine here has the name ${word}`));
      return { machine };
    },
    askBmc: () => ({ uuid, powerState: "on", bootDevice: "pxe", persistent: false, bootTarget: "disk" }),
    async *orderBmc(request, context) {
      note(request, context);
      for (const view of views) {
        if (view === "cut") throw new ConnectError("the agent goes away", Code.Unavailable);
        yield view;
      }
    },
    listLeases: () => ({
      leases: [
        {
          ip: "10.0.0.5",
          mac: "52:54:00:00:00:01",
          state: "bound",
          expiresAt: timestampFromMs(startMs + 65_000),
          hostname: "web-1",
        },
        { ip: "10.0.0.6", state: "released", expiresAt: ago(1) },
      ],
    }),
    getOutbox: () => ({
      outbox: {
        kinds: [{ kind: "machine", entries: 12, bytes: 2048n }],
        oldestAt: ago(300_000),
        deadLetters: 1,
        notUnderstood: 3,
      },
      deadLetters: [{ sequence: 7n, kind: "switch", id: "leaf1", seenAt: ago(60_000), reason: "rack is too long" }],
    }),
    listAudit: (request, context) => {
      note(request, context);
      const trace = { user: "site:bob", method: "/holdfast.site.v1.SiteService/OrderBmc", timestamp: ago(0) };
      return {
        traces: [
          { ...trace, uuid: "b", phase: AuditPhase.REQUEST, body: '{"command":"on"}' },
          { ...trace, uuid: "a", phase: AuditPhase.RESPONSE, body: '{"error":"late"}', resultCode: 10 },
          { ...trace, uuid: "a", phase: AuditPhase.REQUEST, body: "{}" },
        ],
      };
    },
    acceptHistory: (request, context) => {
      note(request, context);
      return {};
    },
    rotateToken: () => ({ tokenFile: "/data/site-token" }),
  });
}

let agent: Listening;
before(async () => {
  agent = await listen({ routes, log: silentLog, limits: { drainMs: 0 } }, { socket });
});
after(async () => {
  await agent.stop();
  rmSync(folder, { recursive: true });
});
const site = (...args: string[]) => holdfast(["site", ...args], { env: { HOLDFAST_SITE_SOCKET: socket } });

describe("what people on site read", () => {
  test("status tells of agent, link, ledger, outbox, machines, images and disk, without any login", async () => {
    assert.equal(
      (await site("status")).out,
      `agent:        1.2.3 of partition rack1, up 3h
link:         backing off for 5m
last error:   nothing listens there
certificate:  good for 2d0h, renewed in 0.0s
joining:      central is away
ledger:       revision 42 of history h1
outbox:       12 machine; the oldest 5m old; 1 dead letter
waits for:    somebody to accept that central was restored
machines:     2 in use, 1 ready
images:       1 of 2 at hand
              debian-12 is not: the source is away
address:      https://10.0.0.1:8444
fingerprint:  AB:CD
disk:         1.0GiB of 4.0GiB free

central told something else under a revision than before, and the agent keeps what it had:
KIND  ID  REVISION  KEPT  TOLD
size  s1  7         aa    bb
`,
    );
    assert.equal(JSON.parse((await site("status", "-o", "json")).out).partition, "rack1");
  });

  test("history tells what is held, machine by machine, and how it is accepted; accepting names it", async () => {
    const ran = await site("history");
    assert.equal(
      ran.out,
      `in force:     h1
held:         h2, revision 9, for 5m
machines:     3 are not the same in both

MACHINE                               IN FORCE       HELD                             SEEN              WHEN ACCEPTED
${uuid}  epoch 7, free  epoch 6, allocated to project p  works for nobody  it is wiped
and 2 more

4 of kind image are not the same in both

NETWORK  IN FORCE    HELD        DIFFERENT
n1       revision 7  revision 6  prefixes, vrf
and 1 more
`,
    );
    assert.match(ran.err, /holdfast site accept-history h2/);
    assert.equal((await site("accept-history", "h2")).out, "the agent acts on history h2 from now on\n");
    assert.deepEqual(
      asked.map(({ request }) => ("history" in request ? request.history : undefined)),
      ["h2"],
    );
  });

  test("link tells whether central is reached, and what waits for it", async () => {
    assert.match(
      (await site("link")).out,
      /^link: +backing off for 5m\nlast error: +nothing.*\nledger: .*\noutbox: .*\n$/,
    );
    assert.match((await site("link", "-o", "yaml")).out, /^phase: backing off\n/);
  });

  test("machines are a table", async () => {
    assert.equal(
      (await site("machines")).out,
      `UUID                                  MAC                NAME   STATE   POWER                       PORT                  WHY
${uuid}  52:54:00:00:00:01  web-1  in use  off (held off by an order)  leaf1 swp1 in tenant  it was switched off by an order
`,
    );
    assert.match((await site("machines", "-o", "wide")).out, /Phoned Home .*10\.0\.0\.9/);
  });

  test("why tells all that is known of one, its orders and how they ended", async () => {
    const { out } = await site("why", "web-1");
    assert.match(out, /^why: +it was switched off by an order, for 60s$/m);
    assert.match(out, /^port: +leaf1 swp1 in tenant, belongs in tenant$/m);
    assert.match(out, /^open order: +reset by site:bob, void in 5\.0s \(o2\)$/m);
    assert.match(out, /^past order: +o1 was not carried out: no answer \(30s ago\)$/m);
    assert.match(out, /^past order: +off by alice \(o0, epoch 4\) was carried out \(40s ago\)$/m);
    assert.match(out, /^past effect: +move-port \(e1, epoch 4\) is done: moving port swp1 \(59s ago\)$/m);
    assert.match(out, /^open effect: +boot-installer \(e2, epoch 4\) was begun .*not known yet: it is off$/m);
    const none = await site("why", "x");
    assert.deepEqual([none.code, none.err], [1, "holdfast: not found: no machine here has the name x\n"]);
  });

  test("power status and boot-target ask the BMC itself", async () => {
    assert.equal((await site("power", "web-1", "status")).out, "on\n");
    assert.equal(
      (await site("boot-target", "web-1")).out,
      `machine:      ${uuid}\nmust boot:    from disk\nBMC is set:   to pxe, once\n`,
    );
  });

  test("leases, outbox and audit are tables; an act is one row, with its result once it has one", async () => {
    assert.match(
      (await site("leases")).out,
      /^10\.0\.0\.5 +52:54:00:00:00:01 +web-1 +bound +in 65\.0s\n10\.0\.0\.6 .* over$/m,
    );
    const { out } = await site("outbox");
    assert.match(out, /^machine +12 +2\.0KiB$/m);
    assert.match(out, /refused by central for good:\n.*\nswitch +leaf1 +60s +rack is too long\n$/);
    const audit = (await site("audit", "--limit", "5")).out.split("\n");
    assert.match(audit[1] ?? "", /^2026-01-01T00:00:00\.000Z +site:bob +OrderBmc +unknown +\{"command":"on"\}$/);
    assert.match(audit[2] ?? "", /OrderBmc +not done +\{"error":"late"\}$/);
    assert.equal((asked[0]!.request as { limit: number }).limit, 5);
  });
});

describe("what people on site order", () => {
  const order = { id: "o9", deadline: timestampFromMs(startMs + 120_000) };

  test("an order shows how it goes and ends with 0 when it is carried out; the agent hears who gave it", async () => {
    views = [
      { uuid, order, why: "carrying out off" },
      { uuid, order, outcome: { id: "o9" } },
    ];
    const ran = await site("power", "web-1", "off");
    assert.deepEqual([ran.code, ran.out, ran.err], [0, `${uuid}: off: carried out\n`, "carrying out off\n"]);
    assert.equal((asked[0]!.request as { command: Command }).command, Command.MACHINE_BMC_COMMAND_OFF);
    assert.equal(asked[0]?.user, "alice");
  });

  test("an order that was not carried out ends with 1 and the reason", async () => {
    views = [{ uuid, order, outcome: { id: "o9", error: "its deadline has passed" } }];
    const ran = await site("boot-target", "web-1", "disk");
    assert.equal(ran.code, 1);
    assert.match(ran.err, /boot from disk from now on was not carried out: its deadline has passed\n$/);
    assert.match((await site("identify", "web-1", "on", "-o", "json")).out, /"error": "its deadline has passed"/);
  });

  test("an agent that ends in between is asked again, as the order is still with it", async () => {
    const order = { id: "o1", deadline: timestampFromMs(startMs + 120_000) };
    views = [{ uuid, order, why: "the BMC: no answer" }, "cut"];
    const ran = await site("power", "web-1", "reset");
    assert.equal(ran.code, 1);
    assert.match(ran.err, /the agent goes away; the order stays with the agent until 2026-01-01T00:02:00\.000Z\n/);
    assert.match(ran.err, /reset was not carried out: no answer\n$/);
  });

  test("an order whose end nobody knows is asked for until well after its deadline", async () => {
    views = [{ uuid, order, why: "the BMC: no answer" }];
    const clock = new VirtualClock(startMs);
    let isOver = false;
    const ran = holdfast(["site", "power", "web-1", "reset"], { env: { HOLDFAST_SITE_SOCKET: socket }, clock }).finally(
      () => {
        isOver = true;
      },
    );
    while (!isOver) {
      await turn();
      if (clock.nextMs !== undefined) clock.advance(20_000);
    }
    assert.deepEqual([(await ran).code, /how the order ended is not known/.test((await ran).err)], [3, true]);
    assert.ok(clock.wallMs() > startMs + 195_000);
  });

  test("a word that is no order is refused with those that are", async () => {
    const ran = await site("power", "web-1", "explode");
    assert.deepEqual([ran.code, ran.err], [2, "holdfast: explode: on, off, reset, cycle, status is wanted\n"]);
  });

  test("a new token is named by its file", async () => {
    assert.equal((await site("rotate-token")).out, "/data/site-token\n");
  });
});

test("completion proposes the commands and the words of an order", async () => {
  const cli = { process: { stdout: { write() {} }, stderr: { write() {} } }, env: {} } as unknown as Cli;
  const next = (line: string) => proposals(app, { ...cli, env: { COMP_LINE: line } }, line.trim().split(" "));
  assert.deepEqual(await proposals(app, cli, ["holdfast", "site", "mach"]), ["machines "]);
  assert.deepEqual(
    (await next("holdfast site boot-target web-1 ")).filter((word) => !word.startsWith("-")),
    ["disk ", "pxe ", "bios "],
  );
});

describe("which agent is meant:", () => {
  test("a socket that is not there is named, with how to name another", async () => {
    const ran = await site("status", "--socket", `${folder}/none`);
    assert.equal(ran.code, 3);
    assert.match(
      ran.err,
      /cannot reach socket .*\/none \(it does not exist\): is the agent running.*HOLDFAST_SITE_SOCKET\n$/,
    );
  });

  test("an address wants https, a token and a fingerprint; a socket wants neither", () => {
    const wrong = (said: object) => {
      const place = sitePlace(said, {}, "alice");
      return place.ok ? "fine" : place.error;
    };
    const fingerprint = "AB:".repeat(31).concat("CD");
    assert.match(wrong({ server: "http://agent:9443", token: "t", fingerprint }), /only https: is spoken/);
    assert.match(wrong({ server: "https://agent:9443", token: "t" }), /--token-file FILE --fingerprint HEX/);
    assert.match(wrong({ server: "https://agent:9443", token: "t", fingerprint: "ab" }), /64 hex digits/);
    assert.match(wrong({ server: "https://agent:9443", socket: "s" }), /exclude each other/);
    assert.match(wrong({ token: "t" }), /belong to an address/);
    assert.equal(wrong({ server: "https://agent:9443", token: "t", fingerprint }), "fine");
    assert.equal(wrong({}), "fine");
  });
});
