// Writes a descriptor down as proto2 source, so that a schema that exists only inside an npm package can be compiled
// here without the network. Options are left out, save `default` and `allow_alias`: nobody who compiles against the
// result needs them, for the package brings its own descriptor at run time.
import type {
  DescriptorProto,
  EnumDescriptorProto,
  FieldDescriptorProto,
  FileDescriptorProto,
} from "@bufbuild/protobuf/wkt";
import { FieldDescriptorProto_Label as Label, FieldDescriptorProto_Type as Type } from "@bufbuild/protobuf/wkt";

/** Highest field number plus one: the end of an open extension range. */
const rangeEndMax = 536_870_912;

/** @returns proto2 source text, in need of a formatter; `note` becomes the comment at the top */
export function printProto(file: FileDescriptorProto, note: string): string {
  return [
    `// ${note}`,
    'syntax = "proto2";',
    `package ${file.package};`,
    ...file.dependency.map((d) => `import "${d}";`),
    ...file.extension.map((x) => `extend ${x.extendee} { ${labelled(x)} }`),
    ...file.enumType.flatMap(printEnum),
    ...file.messageType.flatMap(printMessage),
    "",
  ].join("\n");
}

function printMessage(m: DescriptorProto): string[] {
  const inOneof = (f: FieldDescriptorProto) => Object.hasOwn(f, "oneofIndex");
  return [
    `message ${m.name} {`,
    ...m.enumType.flatMap(printEnum),
    ...m.nestedType.flatMap(printMessage),
    ...m.oneofDecl.flatMap((oneof, index) => [
      `oneof ${oneof.name} {`,
      ...m.field.filter((f) => inOneof(f) && f.oneofIndex === index).map(plain),
      "}",
    ]),
    ...m.field.filter((f) => !inOneof(f)).map(labelled),
    ...m.extensionRange.map((r) => `extensions ${r.start} to ${r.end >= rangeEndMax ? "max" : r.end - 1};`),
    ...m.reservedRange.map((r) => `reserved ${r.start === r.end - 1 ? r.start : `${r.start} to ${r.end - 1}`};`),
    ...m.reservedName.map((name) => `reserved "${name}";`),
    "}",
  ];
}

function printEnum(e: EnumDescriptorProto): string[] {
  const alias = e.options?.allowAlias ? ["option allow_alias = true;"] : [];
  return [`enum ${e.name} {`, ...alias, ...e.value.map((v) => `${v.name} = ${v.number};`), "}"];
}

function labelled(f: FieldDescriptorProto): string {
  const label = { [Label.OPTIONAL]: "optional", [Label.REPEATED]: "repeated", [Label.REQUIRED]: "required" }[f.label];
  return `${label} ${plain(f)}`;
}

function plain(f: FieldDescriptorProto): string {
  const named = f.type === Type.MESSAGE || f.type === Type.ENUM || f.type === Type.GROUP;
  const type = named ? f.typeName : Type[f.type].toLowerCase();
  const initial = f.type === Type.STRING ? JSON.stringify(f.defaultValue) : f.defaultValue;
  return `${type} ${f.name} = ${f.number}${f.defaultValue ? ` [default = ${initial}]` : ""};`;
}
