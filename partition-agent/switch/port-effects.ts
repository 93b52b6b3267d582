// Ports that are switched on and off as people want it. Each time is an effect with an id, decided under an epoch: the generation of
// what central tells of the switch, which rises with every change. It is written down as the acts of people on site are, and so told to
// central.
// Invariants: an effect is on the disk before it is begun; one that failed, or that a former life had begun, keeps its id when it is
// tried again; one that is no longer wanted is not carried out, and ends with evidence.
import { create, fromBinary, toBinary } from "@bufbuild/protobuf";
import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import { type EffectRecord, EffectRecordSchema } from "#gen/holdfast/state/v1/machine_pb.ts";
import { type SwitchDesired, SwitchDesiredSchema } from "#gen/holdfast/state/v1/switch_pb.ts";
import { SwitchService } from "#gen/metalstack/admin/v2/switch_pb.ts";
import { SwitchPortStatus } from "#gen/metalstack/api/v2/switch_pb.ts";
import type { Clock } from "#lib/clock.ts";
import type { Disk } from "#lib/disk.ts";
import type { Log } from "#lib/log.ts";
import type { Random } from "#lib/random.ts";
import type { Ledger } from "../ledger/ledger.ts";
import type { Act, AuditTrail } from "../site/audit.ts";
import { diffSwitch } from "./diff.ts";
import type { SwitchDriver, SwitchEdit, SwitchState } from "./switch.ts";

const table = "port-effect";
const methodName = `/${SwitchService.typeName}/${SwitchService.method.port.name}`;

export interface PortEffectsPorts {
  readonly partition: string;
  readonly driver: SwitchDriver;
  readonly ledger: Ledger;
  /** Whether what is remembered of central's wishes can be acted on. */
  readonly isTrusted: () => boolean;
  readonly audit: AuditTrail;
  readonly disk: Disk;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
}

type Switching = Extract<SwitchEdit, { readonly kind: "enable-port" | "disable-port" }>;

/** An effect without an end. */
interface Open {
  readonly record: EffectRecord;
  readonly switch: string;
  readonly port: string;
}

export class PortEffects {
  readonly #ports: PortEffectsPorts;
  readonly #open = new Map<string, Open>();

  constructor(ports: PortEffectsPorts) {
    this.#ports = ports;
    for (const [key, bytes] of ports.disk.entries(table)) {
      const slash = key.indexOf("/");
      const record = decoded(bytes);
      if (record) this.#open.set(key, { record, switch: key.slice(0, slash), port: key.slice(slash + 1) });
      else ports.log.error("port-effect-damaged", { key });
    }
  }

  /** Switches ports on and off as people want it; what they said nothing of stays. @param state as the switch was just seen */
  async keep(state: SwitchState, signal: AbortSignal): Promise<void> {
    const { driver, isTrusted, log } = this.#ports;
    const wanted = this.#wanted(state.id);
    for (const open of [...this.#open.values()].filter((o) => o.switch === state.id)) {
      const end = endOf(open, wanted, state);
      if (end !== undefined) await this.#end(open, end);
    }
    const edits = switchings(wanted, state);
    if (edits.length === 0 || !isTrusted()) return;
    const begun: Open[] = [];
    for (const edit of edits) begun.push(await this.#begin(edit, state.id, epochOf(wanted)));
    // Writing it down may have taken a while. What is over by now ends with evidence at the next look.
    if (!isTrusted() || epochOf(this.#wanted(state.id)) !== epochOf(wanted)) return;
    await driver.apply(edits, signal);
    for (const open of begun) {
      await this.#end(open, "");
      const { effect, epoch, opId } = open.record;
      log.info(effect, { switch: state.id, port: open.port, epoch: `${epoch}`, op: opId });
    }
  }

  #wanted(id: string): SwitchDesired | undefined {
    return this.#ports.ledger.get("switch-desired", id, SwitchDesiredSchema);
  }

  /** Resolves when it is durable. @returns the one that is open already, if there is one */
  async #begin({ kind, port }: Switching, id: string, epoch: bigint): Promise<Open> {
    const { audit, random, clock } = this.#ports;
    const key = `${id}/${port}`;
    const known = this.#open.get(key);
    if (known) return known;
    const begunAt = timestampFromMs(clock.wallMs());
    const record = create(EffectRecordSchema, { opId: random.uuid(), effect: kind, epoch, begunAt });
    const open = { record, switch: id, port };
    await audit.begun(this.#actOf(open), [{ table, key, value: toBinary(EffectRecordSchema, record) }]);
    this.#open.set(key, open);
    return open;
  }

  /** @param error why it was not done; empty when it was */
  async #end(open: Open, error: string): Promise<void> {
    const key = `${open.switch}/${open.port}`;
    await this.#ports.audit.ended(this.#actOf(open), error, [{ table, key, value: undefined }]);
    this.#open.delete(key);
  }

  #actOf({ record: { opId, effect, epoch }, switch: of, port }: Open): Act {
    const body = { switch: of, port, effect, epoch: `${epoch}` };
    return { id: opId, user: `agent of ${this.#ports.partition}`, address: "", method: methodName, body };
  }
}

const epochOf = (wanted: SwitchDesired | undefined): bigint => wanted?.meta?.generation ?? 0n;

function switchings(wanted: SwitchDesired | undefined, state: SwitchState): readonly Switching[] {
  const ports = Object.entries(wanted?.ports ?? {}).map(([name, status]) => ({
    name,
    enabled: status !== SwitchPortStatus.DOWN,
  }));
  return diffSwitch({ ports, networks: [] }, state) as readonly Switching[]; // nothing else is asked for
}

/** How an effect that was begun has ended, by what the switch shows; undefined: it is still to be done, and may be done twice. */
function endOf({ record, port }: Open, wanted: SwitchDesired | undefined, { ports }: SwitchState): string | undefined {
  const isToBeOn = record.effect === "enable-port";
  const shown = ports.find(({ name }) => name === port)?.enabled;
  if (shown === isToBeOn) return "";
  const asked = Object.entries(wanted?.ports ?? {}).find(([name]) => name === port)?.[1];
  const epoch = epochOf(wanted);
  const isAskedOn = asked !== SwitchPortStatus.DOWN;
  if (epoch === record.epoch && asked !== undefined && isAskedOn === isToBeOn) return undefined;
  const now = asked === undefined ? "as it is" : isAskedOn ? "on" : "off";
  const found = shown === undefined ? "is not there" : `was found switched ${shown ? "on" : "off"}`;
  return `it was decided under epoch ${record.epoch}, the switch is at ${epoch}, which wants the port ${now}; port ${port} ${found}`;
}

function decoded(bytes: Uint8Array): EffectRecord | undefined {
  try {
    return fromBinary(EffectRecordSchema, bytes);
  } catch {
    return undefined;
  }
}
