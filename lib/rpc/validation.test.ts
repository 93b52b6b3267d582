import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { create, createFileRegistry, type DescExtension, type DescMessage, setExtension } from "@bufbuild/protobuf";
import {
  type DescriptorProto,
  DescriptorProtoSchema,
  FieldOptionsSchema,
  FileDescriptorProtoSchema,
  FieldDescriptorProto_Label as Label,
  MessageOptionsSchema,
  FieldDescriptorProto_Type as Type,
} from "@bufbuild/protobuf/wkt";
import { Code, ConnectError, createClient, createRouterTransport } from "@connectrpc/connect";
import {
  FieldRulesSchema,
  field as fieldExtension,
  MapRulesSchema,
  RepeatedRulesSchema,
  StringRulesSchema,
} from "#gen/buf/validate/validate_pb.ts";
import { MachineService } from "#gen/metalstack/api/v2/machine_pb.ts";
import * as rules from "#gen/metalstack/api/v2/predefined_rules_pb.ts";
import { EventService } from "#gen/metalstack/infra/v2/event_pb.ts";
import { systemRandom } from "../io/system-random.ts";
import { silentLog } from "../log.ts";
import { refusals } from "./refusal-to-connect.ts";
import { newValidator, validation } from "./validation.ts";

const uuid = "0f86b3b0-5a8c-4a0e-9d5a-3a0f6a0f9d11";
const name = { good: ["ab", "a".repeat(128), "é".repeat(128)], bad: ["", "a", "a".repeat(129)] };
const trimmedTexts = { good: ["", "a", "a b"], bad: [" a", "a ", "\ta", "a\n", " ", "a\r"] };
const subject = { good: ["*", uuid, uuid.toUpperCase()], bad: ["", "**", "a", `${uuid}0`, `x${uuid}`] };

/** Every rule of predefined_rules.proto with values that it takes and values that it refuses. */
const table: Readonly<Record<string, { readonly good: readonly unknown[]; readonly bad: readonly unknown[] }>> = {
  macaddress: { good: ["52:54:00:aB:cd:01"], bad: ["", "52:54:00:ab:cd", "52-54-00-ab-cd-01", "52:54:00:ab:cd:0g"] },
  is_name: name,
  is_description: { good: ["", "a".repeat(256)], bad: ["a".repeat(257)] },
  is_partition: name,
  is_prefix: { good: ["10.0.0.0/24", "2001:db8::/32"], bad: ["", "10.0.0.0", "10.0.0.0/33", "a/8"] },
  is_uri: { good: ["http://a.example/b", "oci://r.example/i:1"], bad: ["", "a b", "/path"] },
  is_ip_or_hostname: { good: ["10.0.0.1", "::1", "ntp.example.com", "a"], bad: ["", "a b", "-a", "10.0.0.0/8"] },
  trimmed: trimmedTexts,
  is_user: { good: ["ab", "a".repeat(512)], bad: ["a", "a".repeat(513)] },
  is_option: { good: ["a", "a".repeat(128)], bad: ["", "a".repeat(129)] },
  is_key: { good: ["a", "a".repeat(8192)], bad: ["", "a".repeat(8193)] },
  is_tenant_login: name,
  is_tenant_subject_permission: { good: ["*", ...name.good], bad: name.bad },
  is_project_subject_permission: subject,
  is_machine_subject_permission: subject,
  is_base64: { good: ["", "QQ==", "QUI=", "QUJD", "+/+/"], bad: ["Q", "QQ", "QQ=", "QQ==QQ==", "Q-Q_", "QUJD "] },
  prefixes: { good: [[], ["10.0.0.0/8", "::/0"]], bad: [["10.0.0.0/8", "x"], [""]] },
  ips: { good: [[], ["10.0.0.1", "::1"]], bad: [["10.0.0.1", "10.0.0.0/8"]] },
  are_host_and_port: {
    good: [[], ["a.example:50051", "a.example", "10.0.0.1:80", "[::1]:80"]],
    bad: [["a.example:"], ["a.example:65536"], ["a b:1"]],
  },
  all_trimmed: { good: [[], ["a", "b c"]], bad: [["a", " b"], ["\t"]] },
  keys_and_values_trimmed: { good: [{}, { a: "b c" }], bad: [{ " a": "b" }, { a: "b " }] },
  keys_trimmed: { good: [{}, { a: " b" }], bad: [{ "a\n": "b" }] },
  project_roles_keys_valid: { good: [{}, { "*": "", [uuid]: "" }], bad: [{ a: "" }] },
  tenant_roles_keys_valid: { good: [{}, { "*": "", ab: "" }], bad: [{ a: "" }, { [`${"a".repeat(129)}`]: "" }] },
  machine_roles_keys_valid: { good: [{}, { "*": "", [uuid]: "" }], bad: [{ [`${uuid}x`]: "" }] },
};

const extensions = (Object.values(rules) as { kind: string }[]).filter(
  (r) => r.kind === "extension",
) as DescExtension[];
const target = {
  "buf.validate.StringRules": { case: "string", schema: StringRulesSchema },
  "buf.validate.RepeatedRules": { case: "repeated", schema: RepeatedRulesSchema },
  "buf.validate.MapRules": { case: "map", schema: MapRulesSchema },
} as const;

/** A message with one field `v` of the rule's kind, bound by that one rule. */
function messageWith(rule: DescExtension): DescMessage {
  const { case: kind, schema } = target[rule.extendee.typeName as keyof typeof target];
  const value = create(schema as typeof StringRulesSchema);
  setExtension(value, rule, true);
  const options = create(FieldOptionsSchema);
  setExtension(options, fieldExtension, create(FieldRulesSchema, { type: { case: kind, value } as never }));
  const text = { type: Type.STRING, label: Label.OPTIONAL };
  const v = {
    string: { ...text, label: Label.OPTIONAL },
    repeated: { ...text, label: Label.REPEATED },
    map: { type: Type.MESSAGE, label: Label.REPEATED, typeName: ".test.M.VEntry" },
  }[kind];
  const entry: DescriptorProto = create(DescriptorProtoSchema, {
    name: "VEntry",
    field: [
      { name: "key", number: 1, ...text },
      { name: "value", number: 2, ...text },
    ],
    options: create(MessageOptionsSchema, { mapEntry: true }),
  });
  const file = create(FileDescriptorProtoSchema, {
    name: "test.proto",
    package: "test",
    syntax: "proto3",
    messageType: [
      { name: "M", field: [{ name: "v", number: 1, ...v, options }], nestedType: kind === "map" ? [entry] : [] },
    ],
  });
  const message = createFileRegistry(file, () => undefined).getMessage("test.M");
  assert.ok(message);
  return message;
}

describe("every predefined rule takes what it should and refuses what it should", () => {
  const validator = newValidator();
  test("the table has all 25", () => {
    assert.deepEqual(extensions.map((e) => e.name).sort(), Object.keys(table).sort());
    assert.equal(extensions.length, 25);
  });
  for (const rule of extensions) {
    test(rule.name, () => {
      const message = messageWith(rule);
      const verdict = (v: unknown) => validator.validate(message, create(message, { v } as never));
      for (const v of table[rule.name]?.good ?? []) {
        const { kind, error } = verdict(v);
        assert.equal(kind, "valid", `${JSON.stringify(v)}: ${error}`);
      }
      for (const v of table[rule.name]?.bad ?? []) {
        const { kind, error } = verdict(v);
        assert.equal(kind, "invalid", `${JSON.stringify(v)}: ${error}`);
      }
    });
  }
});

test("a request that breaks its rules never reaches the handler", async () => {
  let calls = 0;
  const transport = createRouterTransport(
    (router) =>
      router.service(MachineService, {
        get: () => {
          calls++;
          return {};
        },
      }),
    { router: { interceptors: [validation([MachineService])] } },
  );
  const client = createClient(MachineService, transport);
  const refused = client.get({ uuid: "m1", project: uuid });
  await assert.rejects(
    refused,
    (e) => e instanceof ConnectError && e.code === Code.InvalidArgument && /uuid/.test(e.message),
  );
  assert.equal(calls, 0);
  await client.get({ uuid, project: uuid });
  assert.equal(calls, 1);
});

test("a request with a time that cannot be never reaches the handler", async () => {
  const never = () => assert.fail("it was reached");
  const transport = createRouterTransport((router) => router.service(EventService, { send: never }), {
    router: { interceptors: [refusals({ log: silentLog, random: systemRandom }), validation([EventService])] },
  });
  const refused = createClient(EventService, transport).send({ events: { m1: { time: { seconds: 2n ** 60n } } } });
  await assert.rejects(
    refused,
    (e) => e instanceof ConnectError && e.code === Code.InvalidArgument && /events\[m1\]\.time/.test(e.message),
  );
});

test("people's texts are looked at, and what machines tell of themselves is taken as it is", async () => {
  const heard: string[] = [];
  const transport = createRouterTransport(
    (router) => {
      router.service(MachineService, { create: () => assert.fail("it was reached") });
      router.service(EventService, {
        send({ events }) {
          heard.push(...Object.values(events).map((e) => e.message));
          return {};
        },
      });
    },
    {
      router: {
        interceptors: [refusals({ log: silentLog, random: systemRandom }), validation([MachineService, EventService])],
      },
    },
  );
  const asked = { project: uuid, name: "wеb", image: "debian-13", networks: [{ network: "n1" }] };
  await assert.rejects(
    createClient(MachineService, transport).create(asked),
    (e) => e instanceof ConnectError && e.code === Code.InvalidArgument && /name: the word wеb mixes/.test(e.message),
  );
  await createClient(EventService, transport).send({
    events: { [uuid]: { event: 1, message: "disk\u0000\u001b[1m" } },
  });
  assert.deepEqual(heard, ["disk\u0000\u001b[1m"]);
});
