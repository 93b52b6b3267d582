// Orders to BMCs that people on site gave. The reconciler carries them out beside central's, by the same rules.
// Invariants: an order is durable, with its audit trace, before anybody may carry it out; it is forgotten together with the
// trace of how it ended.
import { create, fromBinary, toBinary } from "@bufbuild/protobuf";
import { timestampFromMs, timestampMs } from "@bufbuild/protobuf/wkt";
import { bmcCommandName } from "#domain/machine/bmc-command.ts";
import { isVoidOrder, newOrder } from "#domain/machine/bmc-order.ts";
import { SiteService } from "#gen/holdfast/site/v1/site_pb.ts";
import {
  type BmcOrder,
  type BmcOrderOutcome,
  BmcOrderOutcomeSchema,
  BmcOrderSchema,
} from "#gen/holdfast/state/v1/machine_pb.ts";
import type { MachineBMCCommand as Command } from "#gen/metalstack/api/v2/machine_pb.ts";
import { linkedSignal } from "#lib/linked-signal.ts";
import { noLonger } from "#lib/no-longer.ts";
import { Refusal } from "#lib/refusal.ts";
import type { Site } from "../boot/site.ts";
import type { Act, AuditTrail } from "./audit.ts";
import type { MachineRecord } from "./machine.ts";

const table = "site-order";
/** Of all machines together. */
const openMax = 1000;
/** Orders whose outcome can still be asked for; the oldest are forgotten first. */
const endedMax = 256;
/** An order that nobody has even refused so long after it was found to be overdue has ended all the same. */
const overlookedMs = 60_000;
const retryMs = 5_000;
const methodName = `/${SiteService.typeName}/${SiteService.method.orderBmc.name}`;

interface OpenOrder {
  readonly uuid: string;
  readonly order: BmcOrder;
  readonly address: string;
  isDurable: boolean;
  /** Wall-clock milliseconds at which this life of the agent first found its deadline to be over. */
  overdueMs: number | undefined;
}

export interface LocalOrdersPorts {
  readonly site: Site;
  readonly audit: AuditTrail;
  /** Lets the reconciler look at a machine. */
  readonly wake: (uuid: string) => void;
}

export class LocalOrders {
  readonly #ports: LocalOrdersPorts;
  readonly #open = new Map<string, OpenOrder>();
  readonly #ended = new Map<string, BmcOrderOutcome>();

  constructor(ports: LocalOrdersPorts) {
    this.#ports = ports;
    for (const open of loaded(ports.site)) this.#open.set(open.order.id, open);
  }

  /** Those of a machine that may be carried out or are to be refused, oldest first. */
  of(uuid: string): readonly BmcOrder[] {
    return [...this.#open.values()].filter((o) => o.uuid === uuid && o.isDurable).map(({ order }) => order);
  }

  /** How an order ended; undefined as long as it has not, or when that is long ago. */
  outcome(id: string): BmcOrderOutcome | undefined {
    return this.#ended.get(id);
  }

  /** Resolves when the order is durable; its id is the act's. @throws Refusal */
  async give(asked: Pick<Act, "id" | "user" | "address">, machine: MachineRecord, command: Command): Promise<BmcOrder> {
    const { audit, wake } = this.#ports;
    const { uuid } = machine;
    const act = actOf({ ...asked, uuid, command });
    const open = await audit.checking(act, () => this.#take(act, machine, command));
    try {
      await audit.begun(act, [{ table, key: keyOf(open), value: toBinary(BmcOrderSchema, open.order) }]);
    } catch (error) {
      this.#open.delete(act.id);
      throw error;
    }
    open.isDurable = true;
    wake(uuid);
    return open.order;
  }

  /** The order takes its place among the open ones at once, so that those who come together count each other. */
  #take({ id, user, address }: Act, { uuid, desired, observed }: MachineRecord, command: Command): OpenOrder {
    if (this.#open.size >= openMax) {
      throw new Refusal("exhausted", `${openMax} orders of this site are open: wait until they are carried out`, {
        reason: "ORDERS_FULL",
      });
    }
    const nowMs = this.#ports.site.clock.wallMs();
    const others = [...this.#open.values()].filter((o) => o.uuid === uuid).map(({ order }) => order);
    const order = newOrder(
      { uuid, command, id, issuedBy: user, epoch: desired?.epoch ?? 0n, nowMs },
      observed,
      others.filter((o) => !isVoidOrder(o, nowMs)),
    );
    const open: OpenOrder = { uuid, order, address, isDurable: false, overdueMs: undefined };
    this.#open.set(id, open);
    return open;
  }

  /** Writes down how orders end, until the signal aborts. */
  async run(signal: AbortSignal): Promise<void> {
    const { bell, clock, log } = this.#ports.site;
    while (!signal.aborted) {
      const rest = linkedSignal(signal);
      // Listening begins before the look, so that nothing is missed in between.
      const rung = bell.wait(rest.signal);
      const restMs = await this.#settle().catch((error: unknown) => {
        log.error("site-order-not-settled", { error });
        return retryMs;
      });
      const slept = restMs === undefined ? rung : clock.sleep(restMs, rest.signal).catch(() => {});
      await Promise.race([rung, slept]);
      rest.abort(noLonger);
      rest.unlink();
    }
  }

  /** @returns after how many milliseconds to look again, even when nothing happens */
  async #settle(): Promise<number | undefined> {
    const { site, wake } = this.#ports;
    let nextMs: number | undefined;
    for (const open of [...this.#open.values()].filter((o) => o.isDurable)) {
      const nowMs = site.clock.wallMs();
      const voidMs = deadlineMs(open.order);
      if (voidMs < nowMs && open.overdueMs === undefined) {
        open.overdueMs = nowMs;
        wake(open.uuid);
      }
      const endMs = open.overdueMs === undefined ? undefined : open.overdueMs + overlookedMs;
      const told = site.observations.get(open.uuid)?.outcomes.find(({ id }) => id === open.order.id);
      if (told || (endMs !== undefined && endMs < nowMs)) await this.#end(open, told ?? overlooked(open.order, nowMs));
      else nextMs = Math.min(nextMs ?? Number.POSITIVE_INFINITY, (endMs ?? voidMs) - nowMs + 1);
    }
    return nextMs;
  }

  async #end(open: OpenOrder, outcome: BmcOrderOutcome): Promise<void> {
    const { order, uuid, address } = open;
    const act = actOf({ id: order.id, uuid, command: order.command, user: order.issuedBy, address });
    await this.#ports.audit.ended(act, outcome.error, [{ table, key: keyOf(open), value: undefined }]);
    this.#open.delete(order.id);
    this.#ended.set(order.id, outcome);
    for (const oldest of this.#ended.keys()) {
      if (this.#ended.size <= endedMax) break;
      this.#ended.delete(oldest);
    }
    this.#ports.site.bell.ring();
  }
}

const overlooked = ({ id }: BmcOrder, nowMs: number): BmcOrderOutcome =>
  create(BmcOrderOutcomeSchema, {
    id,
    at: timestampFromMs(nowMs),
    error: "its deadline has passed without anybody having looked at it",
  });

interface OrderAct {
  readonly id: string;
  readonly uuid: string;
  readonly command: Command;
  readonly user: string;
  readonly address: string;
}

const actOf = ({ id, uuid, command, user, address }: OrderAct): Act => ({
  id,
  user,
  address,
  method: methodName,
  body: { machine: uuid, command: bmcCommandName(command) },
});

const keyOf = ({ uuid, order }: OpenOrder): string => `${uuid}/${order.id}`;

/** Oldest first: the disk has them in the order of their keys, but what was ordered later is to be done later. */
function loaded({ disk, log }: Site): readonly OpenOrder[] {
  const found: OpenOrder[] = [];
  for (const [key, bytes] of disk.entries(table)) {
    const order = decodeOrder(bytes);
    const uuid = key.slice(0, key.lastIndexOf("/"));
    if (order && uuid !== "") found.push({ uuid, order, address: "", isDurable: true, overdueMs: undefined });
    else log.error("site-order-damaged", { key });
  }
  return found.sort((a, b) => deadlineMs(a.order) - deadlineMs(b.order));
}

const deadlineMs = ({ deadline }: BmcOrder): number => (deadline ? timestampMs(deadline) : 0);

function decodeOrder(bytes: Uint8Array): BmcOrder | undefined {
  try {
    return fromBinary(BmcOrderSchema, bytes);
  } catch {
    return undefined;
  }
}
