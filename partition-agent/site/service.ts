// holdfast.site.v1.SiteService: what people on site see and do, from the agent's own disk.
import { create } from "@bufbuild/protobuf";
import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import type { HandlerContext, ServiceImpl } from "@connectrpc/connect";
import { bmcCommandName } from "#domain/machine/bmc-command.ts";
import { bootTarget } from "#domain/machine/boot-target.ts";
import {
  GetOutboxResponseSchema,
  LeaseSchema,
  type OrderBmcResponse,
  OrderBmcResponseSchema,
  type SiteService,
} from "#gen/holdfast/site/v1/site_pb.ts";
import { type Status, StatusSchema } from "#gen/holdfast/site/v1/status_pb.ts";
import type { BmcOrder } from "#gen/holdfast/state/v1/machine_pb.ts";
import { ImageSchema } from "#gen/metalstack/api/v2/image_pb.ts";
import { ipv4Text } from "#lib/net/ipv4.ts";
import type { Random } from "#lib/random.ts";
import { reasonOf } from "#lib/reason-of.ts";
import { Refusal } from "#lib/refusal.ts";
import type { Lease } from "#pxe-boot/dhcp/lease.ts";
import type { Bmc } from "../bmc/bmc.ts";
import type { BootFiles } from "../boot/boot-files.ts";
import { allDesired, desiredOf, type Site } from "../boot/site.ts";
import type { JoinStatus } from "../identity/joiner.ts";
import type { HoldReport } from "../ledger/hold.ts";
import type { Outbox } from "../outbox/outbox.ts";
import type { Act, AuditTrail } from "./audit.ts";
import { userOf } from "./caller.ts";
import type { Consoles } from "./consoles.ts";
import type { SiteCredential } from "./credential.ts";
import { findMachine } from "./find-machine.ts";
import { type MachineRecord, siteMachine, siteState } from "./machine.ts";
import type { LocalOrders } from "./orders.ts";
import { actOf } from "./refused-acts.ts";
import { certificateStatus, imageStatus, linkStatus, outboxSummary, stateCounts } from "./status.ts";

const tracesUsual = 100;

/** What of the agent itself people on site see and act on. */
export interface OnSiteParts {
  readonly site: Site;
  readonly files: BootFiles;
  readonly link: { readonly state: Parameters<typeof linkStatus>[0] };
  readonly outbox: Outbox;
  readonly hold: Pick<HoldReport, "present">;
  readonly bmcOf: (uuid: string) => Bmc | undefined;
  readonly audit: AuditTrail;
  readonly orders: LocalOrders;
  readonly consoles: Consoles;
  /** Undefined where central knows the agent by a token. */
  readonly certificate: () => JoinStatus | undefined;
}

export interface OnSite extends OnSiteParts {
  readonly version: string;
  /** Wall-clock milliseconds. */
  readonly startedMs: number;
  /** As they are on disk. */
  readonly leases: () => Iterable<Lease>;
  readonly diskSpace: () => Promise<{ readonly freeBytes: number; readonly sizeBytes: number }>;
  /** Absent where the local API is reached by its socket only. */
  readonly credential: SiteCredential | undefined;
  readonly address: () => { readonly url: string; readonly fingerprint: string; readonly apiUrl?: string } | undefined;
  readonly random: Random;
}

export function siteService(on: OnSite): ServiceImpl<typeof SiteService> {
  const { site, orders, audit } = on;
  const find = (word: string): MachineRecord => findMachine(word, recordsOf(site));
  const acting = (context: HandlerContext, body: Act["body"]) => actOf({ ...on, userOf }, context, body);
  return {
    getStatus: async () => ({ status: await statusOf(on) }),
    listMachines: () => ({
      machines: recordsOf(site).map((record) => {
        const m = siteMachine(record, orders.of(record.uuid));
        if (m.progress) m.progress = { ...m.progress, steps: [] };
        m.outcomes = [];
        m.effects = [];
        return m;
      }),
    }),
    getMachine: ({ machine }) => {
      const record = find(machine);
      return { machine: siteMachine(record, orders.of(record.uuid)) };
    },
    askBmc: ({ machine }, { signal }) => askBmc(on, find(machine), signal),
    async *orderBmc({ machine, command }, context) {
      const act = acting(context, { machine, command: bmcCommandName(command) });
      const record = await audit.checking(act, () => find(machine));
      const order = await orders.give(act, record, command);
      yield* orderViews(on, record.uuid, order, context.signal);
    },
    async *openConsole({ machine, takeOver }, context) {
      const act = acting(context, { machine });
      const { uuid } = await audit.checking(act, () => find(machine));
      yield* on.consoles.show({ ...act, body: { machine: uuid } }, { uuid, takeOver }, context.signal);
    },
    writeConsole: async ({ console, input, sendBreak }) => {
      await on.consoles.write(console, input, sendBreak);
      return {};
    },
    listLeases: () => ({ leases: leasesOf(on) }),
    getOutbox: () => outboxOf(on),
    listAudit: ({ limit }) => ({ traces: [...audit.newest(limit === 0 ? tracesUsual : limit)] }),
    acceptHistory: ({ history }, context) =>
      audit.acting(acting(context, { history }), async () => {
        await site.ledger.accept(history);
        return {};
      }),
    rotateToken: (_, context) =>
      audit.acting(acting(context, {}), async () => {
        if (!on.credential) {
          throw new Refusal("precondition", "this agent has no token: site.address is not configured", {
            reason: "NO_TOKEN",
          });
        }
        await on.credential.rotate();
        return { tokenFile: on.credential.file };
      }),
  };
}

/** Every machine of which either half is known, by uuid. */
function recordsOf(site: Site): readonly MachineRecord[] {
  const records = new Map<string, MachineRecord>();
  for (const observed of site.observations.list()) {
    records.set(observed.uuid, { uuid: observed.uuid, desired: undefined, observed });
  }
  for (const desired of allDesired(site)) {
    const { uuid } = desired;
    records.set(uuid, { uuid, desired, observed: records.get(uuid)?.observed });
  }
  return [...records.values()].sort((a, b) => (a.uuid < b.uuid ? -1 : 1));
}

async function statusOf(on: OnSite): Promise<Status> {
  const { site, files, outbox, link } = on;
  const { contradictions } = site.ledger;
  const { history, revision } = site.ledger.cursor;
  const { freeBytes, sizeBytes } = await on.diskSpace();
  const address = on.address();
  const historyHold = on.hold.present;
  const certificate = on.certificate();
  return create(StatusSchema, {
    version: on.version,
    partition: site.partition,
    startedAt: timestampFromMs(on.startedMs),
    link: linkStatus(link.state),
    ledger: { history, revision },
    outbox: outboxSummary(outbox),
    images: site.ledger.list("image", ImageSchema).map((image) => imageStatus(image, files)),
    diskFreeBytes: BigInt(freeBytes),
    diskSizeBytes: BigInt(sizeBytes),
    machines: [...stateCounts(recordsOf(site).map(siteState))],
    ...(address && { address }),
    safeMode: site.safeMode.why ?? "",
    ...(historyHold && { historyHold }),
    ...(contradictions && contradictions.total > 0 && { contradictions }),
    ...(certificate && { certificate: certificateStatus(certificate) }),
  });
}

async function askBmc({ bmcOf }: OnSite, { uuid, desired, observed }: MachineRecord, signal: AbortSignal) {
  const bmc = bmcOf(uuid);
  if (!bmc)
    throw new Refusal("precondition", `no BMC with the GUID of machine ${uuid} was found`, { reason: "NO_BMC" });
  try {
    const powerState = await bmc.powerState(signal);
    const { device, persistent } = await bmc.bootDevice(signal);
    return { uuid, powerState, bootDevice: device, persistent, bootTarget: bootTarget(desired, observed) };
  } catch (error) {
    if (signal.aborted) throw error;
    const text = reasonOf(error);
    throw new Refusal("unavailable", `the BMC of machine ${uuid}: ${text}`, { reason: "BMC_FAILED" });
  }
}

/** What becomes of an order, from the moment when it is durable. */
async function* orderViews(
  { site, orders }: OnSite,
  uuid: string,
  order: BmcOrder,
  signal: AbortSignal,
): AsyncGenerator<OrderBmcResponse> {
  let said: string | undefined;
  while (!signal.aborted) {
    const rung = site.bell.wait(signal);
    const outcome = orders.outcome(order.id);
    const why = site.observations.get(uuid)?.progress?.why ?? "";
    if (outcome || why !== said)
      yield create(OrderBmcResponseSchema, { uuid, order, why, ...(outcome && { outcome }) });
    if (outcome) return;
    said = why;
    await rung;
  }
}

function leasesOf({ site, leases }: OnSite) {
  return Array.from(leases(), ({ address, holder, state, untilMs }) => {
    const mac = holder.startsWith("id:") ? "" : holder;
    const uuid = (mac === "" ? undefined : site.observations.byMac(mac))?.uuid ?? "";
    return create(LeaseSchema, {
      ip: ipv4Text(address),
      mac,
      state,
      expiresAt: timestampFromMs(untilMs),
      uuid,
      hostname: uuid === "" ? "" : (desiredOf(site, uuid)?.allocation?.hostname ?? ""),
    });
  });
}

function outboxOf({ outbox }: OnSite) {
  return create(GetOutboxResponseSchema, {
    outbox: outboxSummary(outbox),
    deadLetters: outbox.rejected().map(({ entry: { sequence, kind, id, seenAt }, reason }) => ({
      sequence,
      kind,
      id,
      reason,
      ...(seenAt && { seenAt }),
    })),
  });
}
