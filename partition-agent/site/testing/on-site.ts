// An agent with one machine behind a BMC in memory, and a person who calls its local API. Time is virtual.
import { create } from "@bufbuild/protobuf";
import { type Client, createClient, createRouterTransport } from "@connectrpc/connect";
import { type OrderBmcResponse, SiteService } from "#gen/holdfast/site/v1/site_pb.ts";
import { type MachineBMCCommand, MachineBMCSchema } from "#gen/metalstack/api/v2/machine_pb.ts";
import { silentLog } from "#lib/log.ts";
import { Reconciler } from "#lib/reconcile.ts";
import { userHeader } from "#lib/rpc/user-header.ts";
import { Seeded } from "#lib/seeded.ts";
import type { Lease } from "#pxe-boot/dhcp/lease.ts";
import { People } from "../../api/people.ts";
import type { ForPeople } from "../../api/router.ts";
import type { pairing } from "../../bmc/testing/pair.ts";
import { Budgets } from "../../budget/budgets.ts";
import { HoldReport } from "../../ledger/hold.ts";
import { exactly } from "../../link/central-time.ts";
import { MachineReconciler } from "../../machine/reconciler.ts";
import { type FakeCache, openAgent, type TestAgent, TestCentral, uuidA, waiting } from "../../testing/site.ts";
import { socketAccess } from "../access.ts";
import { AuditTrail } from "../audit.ts";
import { Consoles } from "../consoles.ts";
import { LocalOrders } from "../orders.ts";
import { onSiteInterceptors, onSiteRoutes } from "../router.ts";
import type { OnSite } from "../service.ts";

export type Kept = NonNullable<Parameters<typeof openAgent>[0]> & { cache?: FakeCache };

/** An agent with a machine that waits in its installer, at epoch 1; its BMC is found, and it is on. */
export async function agentWithMachine({
  clock,
  responder,
}: Pick<ReturnType<ReturnType<typeof pairing>>, "clock" | "responder">) {
  const agent = await openAgent({ clock });
  const central = new TestCentral();
  await central.connect(agent);
  await waiting(agent, central);
  await agent.observations.update(uuidA, (m) => {
    m.bmc = create(MachineBMCSchema, { address: "bmc1:623" });
    m.isolatedEpoch = 1n;
  });
  responder.chassis.isOn = true;
  return { agent, central };
}

/** What is random differs from one life of the agent to the next. */
let lives = 0;

/** The local side of one life of an agent. */
export function onSiteOf(agent: TestAgent, bmcOf: OnSite["bmcOf"], change: Partial<OnSite> = {}) {
  const { site, files, outbox, clock, disk } = agent;
  const random = new Seeded(++lives);
  const audit = new AuditTrail({ disk, outbox, clock, log: silentLog });
  const stop = new AbortController();
  const machines = new MachineReconciler({
    site,
    files,
    bmcOf,
    ports: { locate: async () => ({ kind: "unmanaged" }), move: async () => {} },
    localOrders: (uuid) => orders.of(uuid),
    centralTime: () => exactly(clock.wallMs()),
    newMachines: "leave alone",
    listeningSinceMs: clock.wallMs(),
    clock,
    random,
    log: silentLog,
  });
  const reconciler = new Reconciler(
    {
      name: "machine",
      reconcile: (uuid, signal) => machines.reconcile(uuid, signal),
      failed: (uuid, error) => machines.failed(uuid, error),
      concurrency: 1,
      clock,
      random,
      log: silentLog,
    },
    stop.signal,
  );
  const orders = new LocalOrders({
    site,
    audit,
    wake: (uuid) => {
      site.bell.ring();
      reconciler.enqueue(uuid);
    },
  });
  const on: OnSite = {
    version: "1.2.3",
    startedMs: clock.wallMs(),
    site,
    files,
    link: { state: { phase: "backing off", sinceMs: clock.wallMs(), lastError: "nothing listens there" } },
    outbox,
    hold: new HoldReport({ ...site, outbox }),
    bmcOf,
    leases: () => [] as Lease[],
    diskSpace: async () => ({ freeBytes: 1e9, sizeBytes: 4e9 }),
    audit,
    orders,
    consoles: new Consoles({ audit, bmcOf, random }),
    credential: undefined,
    certificate: () => undefined,
    address: () => undefined,
    random,
    ...change,
  };
  const transport = createRouterTransport(onSiteRoutes(on), {
    router: { interceptors: [...onSiteInterceptors(on, socketAccess)] },
  });
  const budgets = new Budgets({ site, random, changed: (uuid) => reconciler.enqueue(uuid) });
  const people = new People({ site, verify: async (token) => token });
  const forPeople: ForPeople = { site, budgets, people, audit, random };
  return {
    on,
    forPeople,
    served: { onSite: on, forPeople },
    audit,
    orders,
    reconciler,
    client: createClient(SiteService, transport),
    /** Lets this life work; it ends with the controller. */
    live: () => {
      reconciler.enqueue(uuidA);
      void orders.run(stop.signal);
    },
    stop,
  };
}

export const alice = { headers: { [userHeader]: "alice" } };

/** Gives an order and hears it to its end. */
export async function ordered(
  client: Client<typeof SiteService>,
  command: MachineBMCCommand,
  machine = uuidA,
): Promise<readonly OrderBmcResponse[]> {
  const heard: OrderBmcResponse[] = [];
  for await (const view of client.orderBmc({ machine, command }, alice)) heard.push(view);
  return heard;
}
