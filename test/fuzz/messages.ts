// Makes messages from their descriptors: whole ones, mended ones that keep the rules of their protos, and spoilt ones.
import {
  create,
  type DescEnum,
  type DescField,
  type DescMessage,
  type DescOneof,
  type Message,
  ScalarType,
  toBinary,
} from "@bufbuild/protobuf";
import { isReflectMessage, type Path, type ReflectMessage, reflect } from "@bufbuild/protobuf/reflect";
import { type Duration, DurationSchema, type Timestamp, TimestampSchema } from "@bufbuild/protobuf/wkt";
import type { Validator } from "@bufbuild/protovalidate";
import { isSecret } from "#central/audit/secret-fields.ts";
import { kinds } from "#central/store/kinds.ts";
import type { Seeded } from "#lib/seeded.ts";
import type { Texts } from "./texts.ts";

const depthMax = 7;
/** Times that a message that breaks its rules is mended before it is sent as it is. */
const mendsMax = 4;

const integers32 = [0, 1, 2, 3, 22, 24, 64, 128, 1_000, 65_535, 2 ** 31 - 1];
const signed32 = [-1, -(2 ** 31)];
const unsigned32 = [2 ** 32 - 1];
const integers64 = [0n, 1n, 2n, 3n, 100n, 4_096n, 2n ** 31n, 2n ** 53n, 2n ** 53n + 1n, 2n ** 63n - 1n];
const signed64 = [-1n, -(2n ** 63n)];
const unsigned64 = [2n ** 63n, 2n ** 64n - 1n];
const fractions = [0, 0.5, -1, 1e300, Number.NaN, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY, -0];

type Scalar = string | Uint8Array | boolean | bigint | number;

export class Messages {
  readonly #random: Seeded;
  readonly #texts: Texts;
  readonly #validator: Validator;
  readonly #nowMs: () => number;

  constructor(ports: { random: Seeded; texts: Texts; validator: Validator; nowMs: () => number }) {
    this.#random = ports.random;
    this.#texts = ports.texts;
    this.#validator = ports.validator;
    this.#nowMs = ports.nowMs;
  }

  /** @param good a request that makes sense: it is left as it is, changed in places, or only its ids are kept of it */
  request(desc: DescMessage, good: Message): Message {
    const chance = this.#random.next();
    if (chance < 0.3) return good;
    if (chance < 0.65) this.#change(desc, good, 1 + this.#random.below(3));
    const message = chance < 0.65 ? good : this.#over(desc, good);
    return this.#random.chance(0.7) ? this.#mended(desc, message) : message;
  }

  /** Made up, but mostly about the same. */
  #over(desc: DescMessage, good: Message): Message {
    const message = this.#made(desc, 0);
    const [into, from] = [reflect(desc, message), reflect(desc, good)];
    for (const field of desc.fields)
      if (field.fieldKind === "scalar" && from.isSet(field) && this.#random.chance(0.85))
        into.set(field, from.get(field));
    return message;
  }

  #change(desc: DescMessage, message: Message, count: number): void {
    for (let i = 0; i < count && desc.fields.length > 0; i++) this.#changeAt(reflect(desc, message));
  }

  /** Some field of the message, or of one within it. */
  #changeAt(into: ReflectMessage): void {
    if (into.desc.fields.length === 0) return;
    const field = this.#random.pick(into.desc.fields);
    const inner = this.#random.chance(0.8) && into.isSet(field) ? this.#inner(into, field) : undefined;
    if (inner !== undefined) this.#changeAt(inner);
    else if (this.#random.chance(0.2)) into.clear(field);
    else this.#fill(into, field, 1);
  }

  #inner(into: ReflectMessage, field: DescField): ReflectMessage | undefined {
    if (field.fieldKind === "message") return into.get(field);
    const items = field.fieldKind === "list" && field.message !== undefined ? [...into.get(field)] : [];
    const item = items.length > 0 ? this.#random.pick(items) : undefined;
    return isReflectMessage(item) ? item : undefined;
  }

  /** Without what breaks the rules, as far as that is known: other values first, then none. */
  #mended(desc: DescMessage, message: Message): Message {
    for (let mend = 0; mend < mendsMax; mend++) {
      const { kind, violations } = this.#validator.validate(desc, message);
      if (kind !== "invalid") break;
      for (const { field: path } of violations) {
        const at = broken(reflect(desc, message), path);
        if (at === undefined) this.#change(desc, message, 2);
        else this.#again(at.into, at.field, mend);
      }
    }
    return message;
  }

  #again(into: ReflectMessage, field: DescField | DescOneof, mend: number): void {
    const one = field.kind === "oneof" ? this.#random.pick(field.fields) : field;
    into.clear(one);
    if (mend < mendsMax - 1 || field.kind === "oneof") this.#fill(into, one, depthMax - 3);
  }

  #made(desc: DescMessage, depth: number): Message {
    if (desc.typeName === TimestampSchema.typeName) return this.#timestamp();
    if (desc.typeName === DurationSchema.typeName) return this.#duration();
    const message = create(desc) as Message; // as every DescMessage makes
    const into = reflect(desc, message);
    for (const field of desc.fields) if (this.#random.chance(depth < 2 ? 0.7 : 0.5)) this.#fill(into, field, depth);
    if (desc.typeName === "holdfast.sync.v1.ReportEntry") this.#report(message as ReportEntry);
    return message;
  }

  /** What agents report is a message within a message. */
  #report(entry: ReportEntry): void {
    const kind = this.#random.pick([
      kinds.machineObserved,
      kinds.switch,
      kinds.historyHold,
      kinds.ledgerContradictions,
      kinds.siteAudit,
    ]);
    const value = this.#made(kind.schema, 1) as Message & { uuid?: string; id?: string };
    if (kind === kinds.machineObserved) entry.id = value.uuid = this.#texts.one("machine");
    else if (kind === kinds.switch) entry.id = value.id = this.#texts.one("id");
    entry.kind = { "machine-observed": "machine", "site-audit": "audit" }[kind.name as string] ?? kind.name;
    entry.value = toBinary(kind.schema as DescMessage, value);
    entry.sequence = BigInt(this.#random.below(1_000));
    if (this.#random.chance(0.1)) entry.value = this.#random.bytes(this.#random.below(200));
  }

  #fill(into: ReflectMessage, field: DescField, depth: number): void {
    if (field.fieldKind === "scalar") into.set(field, this.#scalar(field, field.scalar));
    else if (field.fieldKind === "enum") into.set(field, this.#enum(field.enum));
    else if (field.fieldKind === "message") {
      if (depth < depthMax) into.set(field, reflect(field.message, this.#made(field.message, depth + 1)));
    } else if (field.fieldKind === "list") {
      const list = into.get(field);
      for (let left = this.#count(depth); left > 0; left--) list.add(this.#item(field, depth));
    } else {
      const map = into.get(field);
      for (let left = this.#count(depth); left > 0; left--)
        map.set(this.#mapKey(field) as never, this.#item(field, depth)); // of the key's own type
    }
  }

  #count(depth: number): number {
    if (depth < 2 && this.#random.chance(0.01)) return 600;
    return this.#random.pick([0, 1, 1, 1, 2, 3]);
  }

  #item(field: DescField & { fieldKind: "list" | "map" }, depth: number): Scalar | ReflectMessage {
    if (field.message !== undefined)
      return reflect(field.message, depth < depthMax ? this.#made(field.message, depth + 1) : create(field.message));
    return field.enum !== undefined ? this.#enum(field.enum) : this.#scalar(field, field.scalar as ScalarType);
  }

  #mapKey(field: DescField & { fieldKind: "map" }): Scalar {
    const named = { events: "machine", project_roles: "project", tenant_roles: "login", machine_roles: "machine" };
    const name = named[field.name as keyof typeof named] ?? (field.name === "images" ? "os" : "label");
    return field.mapKey === ScalarType.STRING ? this.#texts.one(name) : this.#scalar(field, field.mapKey);
  }

  #enum(desc: DescEnum): number {
    if (this.#random.chance(0.03)) return this.#random.pick([99, -1, 2 ** 31 - 1]);
    return this.#random.pick(desc.values).number;
  }

  #scalar(field: DescField, type: ScalarType): Scalar {
    switch (type) {
      case ScalarType.STRING:
        if (isSecret(field) && this.#random.chance(0.5)) return this.#texts.secret();
        return this.#texts.one(idName(field) ?? field.name);
      case ScalarType.BYTES:
        return this.#random.chance(0.5)
          ? Buffer.from(this.#texts.secret())
          : this.#random.bytes(this.#random.pick([0, 1, 32, 4_096]));
      case ScalarType.BOOL:
        return this.#random.chance(0.5);
      case ScalarType.DOUBLE:
      case ScalarType.FLOAT:
        return this.#random.pick(type === ScalarType.FLOAT ? fractions.filter((f) => f !== 1e300) : fractions);
      case ScalarType.INT64:
      case ScalarType.SINT64:
      case ScalarType.SFIXED64:
        return this.#number(integers64, signed64);
      case ScalarType.UINT64:
      case ScalarType.FIXED64:
        return this.#number(integers64, unsigned64);
      case ScalarType.UINT32:
      case ScalarType.FIXED32:
        return this.#number(integers32, unsigned32);
      default:
        return this.#number(integers32, signed32);
    }
  }

  #number<N>(usual: readonly N[], extreme: readonly N[]): N {
    return this.#random.chance(0.9) ? this.#random.pick(usual) : this.#random.pick(extreme);
  }

  #timestamp(): Timestamp {
    const nowS = BigInt(Math.trunc(this.#nowMs() / 1_000));
    const near = nowS + BigInt(this.#random.pick([-90_000, -60, 0, 60, 90_000]));
    const far = [0n, -1n, 253_402_300_799n, 253_402_300_800n, -(2n ** 63n), 2n ** 63n - 1n, -62_135_596_801n];
    const seconds = this.#random.chance(0.9) ? near : this.#random.pick(far);
    return create(TimestampSchema, { seconds, nanos: this.#nanos() });
  }

  #duration(): Duration {
    const near = [0n, 1n, 60n, 600n, 3_600n, 86_400n];
    const far = [-1n, 315_576_000_000n, 315_576_000_001n, 2n ** 63n - 1n, -(2n ** 63n)];
    const seconds = this.#random.chance(0.9) ? this.#random.pick(near) : this.#random.pick(far);
    return create(DurationSchema, { seconds, nanos: this.#nanos() });
  }

  #nanos(): number {
    return this.#random.chance(0.9) ? 0 : this.#random.pick([1, 999_999_999, 1_000_000_000, -1, -(2 ** 31)]);
  }
}

/** An id is known by what it is of: `Network.id`. */
export const idName = ({ name, parent }: DescField): string | undefined => {
  if (name !== "id" && name !== "uuid") return undefined;
  const noun = /^(?:Admin)?([A-Z]\w*?)Service[A-Z]/.exec(parent.name)?.[1] ?? parent.name;
  return `${nouns[noun] ?? noun}.${name}`;
};

/** What a service's name calls by another name than its message does. */
const nouns: Readonly<Record<string, string>> = {
  Filesystem: "FilesystemLayout",
  Audit: "AuditTrace",
  Boot: "Machine",
};

type ReportEntry = Message & { kind: string; id: string; value: Uint8Array; sequence: bigint };

/** The innermost field that a violation's path names, and the message that has it. */
function broken(into: ReflectMessage, path: Path): { into: ReflectMessage; field: DescField | DescOneof } | undefined {
  const [field, item, ...rest] = path;
  if (field === undefined || (field.kind !== "field" && field.kind !== "oneof")) return undefined;
  if (item === undefined || field.kind === "oneof") return { into, field };
  const inner = (of: unknown, left: Path) =>
    (isReflectMessage(of) && left.length > 0 ? broken(of, left) : undefined) ?? { into, field };
  if (field.fieldKind === "message") return inner(into.get(field), path.slice(1));
  if (field.fieldKind === "list" && item.kind === "list_sub") return inner(into.get(field).get(item.index), rest);
  if (field.fieldKind === "map" && item.kind === "map_sub") return inner(into.get(field).get(item.key as never), rest);
  return { into, field };
}
