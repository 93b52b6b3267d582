import assert from "node:assert/strict";
import { test } from "node:test";
import { create, getOption } from "@bufbuild/protobuf";
import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import { type Client, Code, ConnectError, createClient, createRouterTransport } from "@connectrpc/connect";
import { SiteMachineState as State } from "#gen/holdfast/site/v1/machine_pb.ts";
import { type OpenConsoleResponse, SiteService } from "#gen/holdfast/site/v1/site_pb.ts";
import { Auditing, auditing } from "#gen/metalstack/api/v2/common_pb.ts";
import { MachineBMCCommand as Command, MachineBMCSchema } from "#gen/metalstack/api/v2/machine_pb.ts";
import { Bell } from "#lib/bell.ts";
import { silentLog } from "#lib/log.ts";
import { parseIpv4 } from "#lib/net/ipv4.ts";
import { checked } from "#lib/result.ts";
import { Seeded } from "#lib/seeded.ts";
import type { Lease } from "#pxe-boot/dhcp/lease.ts";
import type { ConsoleOptions, ServerConsole } from "../bmc/serial-console.ts";
import { installed, macA, openAgent, refusalOf, start, until, uuidA, uuidB, waiting } from "../testing/site.ts";
import { tokenAccess } from "./access.ts";
import type { AuditTrail } from "./audit.ts";
import { SiteCredential } from "./credential.ts";
import { onSiteInterceptors, onSiteRoutes } from "./router.ts";
import { alice, onSiteOf, ordered } from "./testing/on-site.ts";

const noBmc = () => undefined;

test("status counts the machines by what they are to the site, and tells of link, ledger, outbox, images and disk", async () => {
  const { agent, central } = await start();
  await waiting(agent, central);
  await central.free(agent, uuidB, 1n);
  const { client } = onSiteOf(agent, noBmc);
  const { status } = await client.getStatus({});
  assert.equal(status?.version, "1.2.3");
  assert.deepEqual(
    status.machines.map(({ state, machines }) => [state, machines]),
    [
      [State.PREPARING, 1],
      [State.READY, 1],
    ],
  );
  assert.deepEqual([status.link?.phase, status.link?.lastError], ["backing off", "nothing listens there"]);
  assert.deepEqual([status.ledger?.history, status.ledger?.revision], ["h", 3n]);
  assert.deepEqual(
    status.outbox?.kinds.map(({ kind, entries }) => [kind, entries]),
    [["machine", 1]],
  );
  assert.equal(status.diskFreeBytes, 1_000_000_000n);
});

test("a machine's record says what it is for, where it boots from, where its port belongs and what is open for it", async () => {
  const { agent, central } = await start();
  await installed(agent, central);
  await agent.observations.update(uuidA, (m) => {
    m.bmc = create(MachineBMCSchema, { address: "bmc1:623", powerState: "on" });
  });
  const life = onSiteOf(agent, noBmc);
  life.stop.abort();
  const command = Command.MACHINE_BMC_COMMAND_OFF;
  const order = (await life.client.orderBmc({ machine: uuidA, command }, alice)[Symbol.asyncIterator]().next()).value;
  const { machine } = await life.client.getMachine({ machine: "host-of-epoch-2" });
  assert.deepEqual(
    [machine?.uuid, machine?.state, machine?.bootTarget, machine?.wantedNetwork, machine?.powerState, machine?.epoch],
    [uuidA, State.IN_USE, "disk", "tenant-net", "on", 2n],
  );
  assert.deepEqual(
    machine?.orders.map(({ id }) => id),
    [order?.order?.id],
  );
  await central.free(agent, uuidA, 3n);
  const [listed] = (await life.client.listMachines({})).machines;
  assert.equal(listed?.state, State.RELEASED);
});

test("a machine of which one half is missing is left alone, and counted so", async () => {
  const agent = await openAgent();
  await agent.observations.update(uuidA, (m) => {
    m.workedEpoch = 4n;
  });
  const { machines } = await onSiteOf(agent, noBmc).client.listMachines({});
  assert.deepEqual(
    machines.map(({ state }) => state),
    [State.LEFT_ALONE],
  );
});

test("leases come with the machine behind them, when it is known", async () => {
  const { agent, central } = await start();
  await installed(agent, central);
  const lease = (text: string, holder: string) =>
    ({ address: checked(parseIpv4(text)), holder, state: "bound", untilMs: 1000 }) as Lease;
  const leases = () => [lease("10.0.0.5", macA), lease("10.0.0.6", "id:ff00")];
  const { client } = onSiteOf(agent, noBmc, { leases });
  assert.deepEqual(
    (await client.listLeases({})).leases.map(({ ip, mac, uuid, hostname }) => [ip, mac, uuid, hostname]),
    [
      ["10.0.0.5", macA, uuidA, "host-of-epoch-2"],
      ["10.0.0.6", "", "", ""],
    ],
  );
});

test("the outbox shows how much waits since when, and what central will never take, with the reason", async () => {
  const agent = await openAgent();
  const put = (id: string, seenMs: number) =>
    agent.outbox.put({ kind: "switch", id, value: Uint8Array.of(1, 2), seenMs });
  await put("s1", 5000);
  await agent.outbox.acknowledge(1n, [{ sequence: 1n, reason: "rack is too long" }]);
  await put("s2", 7000);
  await put("s3", 6000);
  const { outbox, deadLetters } = await onSiteOf(agent, noBmc).client.getOutbox({});
  assert.deepEqual(
    outbox?.kinds.map(({ kind, entries, bytes }) => [kind, entries, bytes]),
    [["switch", 2, 4n]],
  );
  assert.deepEqual([outbox?.oldestAt, outbox?.deadLetters], [timestampFromMs(6000), 1]);
  assert.deepEqual(
    deadLetters.map(({ id, reason }) => [id, reason]),
    [["s1", "rack is too long"]],
  );
});

test("a BMC that was not found or does not answer is a refusal with a reason", async () => {
  const { agent, central } = await start();
  await waiting(agent, central);
  assert.match(await refusalOf(onSiteOf(agent, noBmc).client.askBmc({ machine: uuidA })), /^NO_BMC: /);
  const dead = { powerState: () => Promise.reject(new Error("no answer in 5 s")) };
  const { client } = onSiteOf(agent, () => dead as never);
  assert.match(
    await refusalOf(client.askBmc({ machine: uuidA })),
    /^BMC_FAILED: the BMC of machine .*no answer in 5 s/,
  );
});

/** Everything that a console tells. */
async function shown(stream: AsyncIterable<OpenConsoleResponse>): Promise<string> {
  let text = "";
  for await (const { output } of stream) text += new TextDecoder().decode(output);
  return text;
}

test("the console is refused with a reason, and a machine that is not known before everything else", async () => {
  const { agent, central } = await start();
  await waiting(agent, central);
  const none = onSiteOf(agent, noBmc).client;
  assert.match(await refusalOf(shown(none.openConsole({ machine: uuidA }, alice))), /^NO_BMC: /);
  assert.match(await refusalOf(shown(none.openConsole({ machine: "x" }, alice))), /^MACHINE_UNKNOWN: /);
  const { client } = onSiteOf(agent, () => ({}) as never);
  assert.match(await refusalOf(shown(client.openConsole({ machine: uuidA }, alice))), /^NO_CONSOLE: /);
  assert.match(await refusalOf(client.writeConsole({ console: "c" }, alice)), /^CONSOLE_CLOSED: /);
});

test("a console shows what the server says, takes what is typed, and is closed and written down when the caller goes", async () => {
  const { agent, central } = await start();
  await waiting(agent, central);
  const done: string[] = [];
  const said = new Bell();
  const openConsole = async ({ takeOver }: ConsoleOptions): Promise<ServerConsole> => ({
    async *output(signal) {
      yield new TextEncoder().encode(takeOver ? "yours now: " : "login: ");
      await said.wait(signal);
    },
    write: async (typed) => void done.push(new TextDecoder().decode(typed)),
    sendBreak: async () => void done.push("break"),
    close: async () => void done.push("closed"),
  });
  const { client, audit } = onSiteOf(agent, () => ({ openConsole }) as never);
  const leave = new AbortController();
  const stream = client.openConsole({ machine: uuidA, takeOver: true }, { ...alice, signal: leave.signal });
  const views = stream[Symbol.asyncIterator]();
  const { console = "", uuid } = (await views.next()).value ?? {};
  assert.equal(uuid, uuidA);
  assert.equal(new TextDecoder().decode((await views.next()).value?.output), "yours now: ");
  await client.writeConsole({ console, input: new TextEncoder().encode("root\r"), sendBreak: true }, alice);
  leave.abort();
  await assert.rejects(views.next());
  await until("it is written down", () => audit.newest(9).length === 2);
  assert.deepEqual(done, ["root\r", "break", "closed"]);
  const [end] = audit.newest(1);
  assert.deepEqual([end?.user, end?.resultCode, end?.body], ["site:alice", 0, `{"machine":"${uuidA}"}`]);
  assert.match(await refusalOf(client.writeConsole({ console }, alice)), /^CONSOLE_CLOSED: /);
});

test("a console that the BMC refuses is a refusal with its words, and written down so", async () => {
  const { agent, central } = await start();
  await waiting(agent, central);
  const openConsole = () => Promise.reject(new Error("refused with 0x80: somebody else has the console"));
  const { client, audit } = onSiteOf(agent, () => ({ openConsole }) as never);
  const refused = await refusalOf(shown(client.openConsole({ machine: uuidA }, alice)));
  assert.match(refused, /^BMC_FAILED: the console of machine .*: refused with 0x80: somebody else has the console/);
  assert.match(audit.newest(1)[0]?.body ?? "", /somebody else has the console/);
});

/** Users, codes and bodies of the newest traces, oldest first. */
const written = (audit: AuditTrail, traces: number) =>
  audit
    .newest(traces)
    .toReversed()
    .map(({ user, resultCode, body }) => [user, resultCode, body]);

test("an act that names an unknown machine is on record, with what it named and why it was refused", async () => {
  const { client, audit } = onSiteOf(await openAgent(), noBmc);
  const command = Command.MACHINE_BMC_COMMAND_OFF;
  const text = "no machine here has the uuid, MAC address, hostname or name rack7";
  const calls = [
    [() => ordered(client, command, "rack7"), { machine: "rack7", command: "off" }],
    [() => shown(client.openConsole({ machine: "rack7" }, alice)), { machine: "rack7" }],
  ] as const;
  for (const [call, body] of calls) {
    await assert.rejects(call());
    assert.deepEqual(written(audit, 2), [
      ["site:alice", undefined, JSON.stringify(body)],
      ["site:alice", Code.NotFound, JSON.stringify({ ...body, error: text })],
    ]);
  }
});

test("a request that is no good is on record with its caller, whether its answer is one or a stream", async () => {
  const { client, audit } = onSiteOf(await openAgent(), noBmc);
  const bad = [
    [() => ordered(client, Command.MACHINE_BMC_COMMAND_OFF, ""), "OrderBmc", /machine/],
    [() => client.acceptHistory({ history: "" }, alice), "AcceptHistory", /history/],
  ] as const;
  for (const [call, method, why] of bad) {
    await assert.rejects(call(), { code: Code.InvalidArgument });
    const [end, begin] = audit.newest(2);
    assert.deepEqual(
      [begin?.user, begin?.method, begin?.uuid, end?.resultCode],
      ["site:alice", `/holdfast.site.v1.SiteService/${method}`, end?.uuid, Code.InvalidArgument],
    );
    assert.match(end?.body ?? "", why);
  }
});

test("who shows no token of the site, or a wrong one, is on record by address, and a mere look is not", async () => {
  const agent = await openAgent();
  const { on, audit } = onSiteOf(agent, noBmc);
  const tokens: string[] = [];
  const file = { path: "t", read: async () => undefined, write: async (text: string) => void tokens.push(text.trim()) };
  const { disk, clock } = agent;
  const credential = await SiteCredential.open({
    disk,
    random: new Seeded(1),
    sha256: (text) => `hash of ${text}`,
    file,
  });
  const transport = createRouterTransport(onSiteRoutes(on), {
    router: { interceptors: [...onSiteInterceptors(on, tokenAccess(credential, { clock, log: silentLog }))] },
  });
  const client = createClient(SiteService, transport);
  const withToken = (token: string) => ({ headers: { ...alice.headers, authorization: `Bearer ${token}` } });
  await assert.rejects(client.rotateToken({}), { code: Code.Unauthenticated });
  await assert.rejects(client.getStatus({}), { code: Code.Unauthenticated });
  await assert.rejects(shown(client.openConsole({ machine: "x" }, withToken("wrong"))));
  await assert.rejects(client.rotateToken({}, withToken(tokens[0]!)), { code: Code.FailedPrecondition });
  assert.deepEqual(written(audit, 99), [
    ["", undefined, "{}"],
    ["", Code.Unauthenticated, '{"error":"the call carries no token of this site"}'],
    ["", undefined, "{}"],
    ["", Code.Unauthenticated, '{"error":"the token is not this site\'s"}'],
    ["site-token:alice", undefined, "{}"],
    [
      "site-token:alice",
      Code.FailedPrecondition,
      '{"error":"this agent has no token: site.address is not configured"}',
    ],
  ]);
});

test("every call that its contract names as audited leaves two traces of its caller, and no other leaves any", async () => {
  const { agent, central } = await start();
  await waiting(agent, central);
  const { client, audit, stop } = onSiteOf(agent, noBmc);
  stop.abort();
  const request = { machine: uuidA, command: Command.MACHINE_BMC_COMMAND_OFF, history: "h2" };
  for (const method of SiteService.methods) {
    const before = audit.newest(999).length;
    await called(client, method.localName as keyof Client<typeof SiteService>, request);
    const traces = audit.newest(999).slice(0, audit.newest(999).length - before);
    const isAudited = getOption(method, auditing) === Auditing.INCLUDED;
    assert.equal(traces.length, isAudited ? 2 : 0, method.name);
    for (const { user, method: name, sourceIp } of traces)
      assert.deepEqual([user, name, sourceIp], ["site:alice", `/holdfast.site.v1.SiteService/${method.name}`, ""]);
  }
});

async function called(client: Client<typeof SiteService>, name: keyof Client<typeof SiteService>, request: object) {
  // The names come from the service itself, and the fields fit every request of it.
  const call = client[name] as (request: object, options: object) => Promise<unknown> | AsyncIterable<unknown>;
  try {
    const answer = call(request, alice);
    if (Symbol.asyncIterator in answer) for await (const _ of answer) break;
    else await answer;
  } catch (error) {
    assert.notEqual(ConnectError.from(error).code, Code.Internal);
  }
}
