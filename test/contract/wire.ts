// The public contract as plain facts: what a compiled image says, reduced to what a foreign client can notice, namely
// names, numbers, types, who may call, and which values are refused. Comments, file layout and order do not count.
import {
  createFileRegistry,
  type DescEnum,
  type DescExtension,
  type DescField,
  type DescFile,
  type DescMessage,
  type DescMethod,
  type DescOneof,
  type FileRegistry,
  fromBinary,
  getExtension,
  hasExtension,
  ScalarType,
  toJson,
} from "@bufbuild/protobuf";
import { FileDescriptorSetSchema } from "@bufbuild/protobuf/wkt";
import {
  FieldRulesSchema,
  field as fieldRules,
  OneofRulesSchema,
  oneof as oneofRules,
} from "#gen/buf/validate/validate_pb.ts";

/** Any JSON: the table is data, compared by shape. */
export type Fact = string | number | boolean | null | readonly Fact[] | { readonly [name: string]: Fact | undefined };
type Facts = { [name: string]: Fact | undefined };

const methodOptions = [
  "tenant_roles",
  "project_roles",
  "admin_roles",
  "infra_roles",
  "machine_roles",
  "visibility",
  "auditing",
] as const;

/**
 * @param image a serialized FileDescriptorSet, imports included
 * @param prefix only packages whose name begins with it, such as `metalstack.`
 */
export function factsOf(image: Uint8Array, prefix: string): Facts {
  const registry = createFileRegistry(fromBinary(FileDescriptorSetSchema, image));
  const packages: Facts = {};
  for (const file of registry.files) {
    const name = file.proto.package;
    if (name.startsWith(prefix)) packages[name] = merged(packages[name], fileFacts(file, registry));
  }
  return packages;
}

/** Merges two levels: a package's parts come from several files. */
function merged(known: Fact | undefined, more: { readonly [part: string]: Facts }): Facts {
  const parts = (known ?? {}) as { readonly [part: string]: Facts };
  return Object.fromEntries(Object.entries(more).map(([part, facts]) => [part, { ...parts[part], ...facts }]));
}

function fileFacts(file: DescFile, registry: FileRegistry) {
  const messages = file.messages.flatMap(withNested);
  const enums = [...file.enums, ...messages.flatMap((m) => m.nestedEnums)];
  return {
    services: Object.fromEntries(
      file.services.map((s) => [
        s.typeName,
        Object.fromEntries(s.methods.map((m) => [m.name, methodFacts(m, registry)])),
      ]),
    ),
    messages: Object.fromEntries(messages.map((m) => [m.typeName, messageFacts(m, registry)])),
    enums: Object.fromEntries(enums.map((e) => [e.typeName, enumFacts(e, registry)])),
    extensions: Object.fromEntries(file.extensions.map((x) => [x.name, extensionFacts(x)])),
  };
}

const withNested = (m: DescMessage): DescMessage[] => [m, ...m.nestedMessages.flatMap(withNested)];

const own = (registry: FileRegistry, name: string) => registry.getExtension(`metalstack.api.v2.${name}`);

function methodFacts(method: DescMethod, registry: FileRegistry): Facts {
  const facts: Facts = { in: method.input.typeName, out: method.output.typeName, kind: method.methodKind };
  const options = method.proto.options;
  for (const option of methodOptions) {
    const extension = own(registry, option);
    if (!options || !extension?.enum || !hasExtension(options, extension)) continue;
    const nameOf = (n: number) => extension.enum?.value[n]?.name ?? `${n}`;
    const value = getExtension(options, extension) as number | readonly number[];
    facts[option] = typeof value === "number" ? nameOf(value) : value.map(nameOf);
  }
  return facts;
}

function messageFacts(message: DescMessage, registry: FileRegistry): Facts {
  const facts: Facts = {};
  for (const f of message.fields) facts[f.name] = fieldFacts(f, registry);
  for (const o of message.oneofs) {
    const rules = oneofRulesOf(o, registry);
    if (rules !== undefined) facts[`oneof ${o.name}`] = rules;
  }
  return facts;
}

function fieldFacts(f: DescField, registry: FileRegistry): Facts {
  const facts: Facts = { n: f.number, type: typeOf(f) };
  if (f.proto.proto3Optional) facts.optional = true;
  else if (f.oneof) facts.oneof = f.oneof.name;
  const options = f.proto.options;
  if (options && hasExtension(options, fieldRules)) {
    facts.rules = toJson(FieldRulesSchema, getExtension(options, fieldRules), { registry }) as Fact;
  }
  return facts;
}

function oneofRulesOf(o: DescOneof, registry: FileRegistry): Fact | undefined {
  const options = o.proto.options;
  if (!options || !hasExtension(options, oneofRules)) return undefined;
  return toJson(OneofRulesSchema, getExtension(options, oneofRules), { registry }) as Fact;
}

function enumFacts(e: DescEnum, registry: FileRegistry): Facts {
  const text = own(registry, "enum_string_value");
  return Object.fromEntries(
    e.values.map((v) => {
      const options = v.proto.options;
      const said = options && text && hasExtension(options, text) ? String(getExtension(options, text)) : undefined;
      return [v.name, { n: v.number, ...(said === undefined ? {} : { text: said }) }];
    }),
  );
}

const extensionFacts = (x: DescExtension): Facts => ({
  extends: x.extendee.typeName,
  n: x.number,
  type: typeOf(x),
});

function typeOf(f: DescField | DescExtension): string {
  const element = (scalar: ScalarType | undefined) =>
    scalar === undefined ? ((f.message ?? f.enum)?.typeName ?? "?") : ScalarType[scalar].toLowerCase();
  if (f.fieldKind === "list") return `repeated ${element(f.scalar)}`;
  if (f.fieldKind === "map") return `map<${ScalarType[f.mapKey].toLowerCase()}, ${element(f.scalar)}>`;
  return element(f.scalar);
}

/**
 * What `have` lacks of `want`, one line each. More than what is wanted is fine; lists are compared as sets, and the key
 * `means` is prose for readers.
 */
export function differences(want: Fact | undefined, have: Fact | undefined, at = ""): string[] {
  if (want === undefined) return [];
  if (want === null || typeof want !== "object") {
    return want === have ? [] : [`${at}: want ${JSON.stringify(want)}, have ${JSON.stringify(have)}`];
  }
  if (have === undefined || have === null || typeof have !== "object") return [`${at}: missing`];
  if (isList(want)) {
    const sorted = (list: Fact) => JSON.stringify(isList(list) ? [...list].sort() : list);
    return sorted(want) === sorted(have) ? [] : [`${at}: want ${sorted(want)}, have ${sorted(have)}`];
  }
  const present = have as Facts;
  return Object.entries(want).flatMap(([key, value]) =>
    key === "means" ? [] : differences(value, present[key], at === "" ? key : `${at} / ${key}`),
  );
}

const isList = (fact: Fact): fact is readonly Fact[] => Array.isArray(fact);
