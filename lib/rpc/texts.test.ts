import assert from "node:assert/strict";
import { test } from "node:test";
import { create } from "@bufbuild/protobuf";
import { TenantServiceCreateRequestSchema } from "#gen/metalstack/admin/v2/tenant_pb.ts";
import { MachineServiceCreateRequestSchema } from "#gen/metalstack/api/v2/machine_pb.ts";
import { badName, badPlainText, badText } from "./texts.ts";

test("a name is of letters that can be seen and told apart", () => {
  const fine = [
    "acme",
    "Größe 7",
    "проект один",
    "проект alpha",
    "Ωμέγα",
    "東京-dc1",
    "a_b.c/d:e",
    "naïve",
    "日本語kanji",
    "",
  ];
  for (const name of fine) assert.equal(badName(name), undefined, name);
  const bad = [
    ["а\u0063me", /mixes letters of alphabets that look alike/], // Cyrillic a, Latin cme
    ["pοint", /mixes/], // Greek omicron
    ["ac\u0000me", /U\+0000 cannot be seen/],
    ["ac\u200bme", /U\+200B/],
    ["\u202Eemca", /U\+202E/],
    ["two\nlines", /U\+000A/],
    ["\u0085", /U\+0085/],
  ] as const;
  for (const [name, why] of bad) assert.match(badName(name) ?? "", why, JSON.stringify(name));
});

test("another text may have lines and any letters, but no control characters", () => {
  for (const text of ["two\r\nlines\tand a tab", "аcme", "\u200f"]) assert.equal(badPlainText(text), undefined);
  assert.match(badPlainText("a\u0000b") ?? "", /control character U\+0000/);
  assert.match(badPlainText("\u001b[31m") ?? "", /U\+001B/);
});

test("what is wrong is found wherever it is, by the rule of its field", () => {
  const tenant = (fields: object) =>
    badText(TenantServiceCreateRequestSchema, create(TenantServiceCreateRequestSchema, fields));
  assert.equal(tenant({ name: "acme", description: "line\nline" }), undefined);
  assert.equal(tenant({ name: "аcme" })?.field, "name");
  assert.equal(tenant({ name: "acme", description: "\u0007" })?.field, "description");
  assert.equal(tenant({ name: "acme", labels: { labels: { k: "v\u0000" } } })?.field, "labels.labels[k]");
  assert.equal(tenant({ name: "acme", labels: { labels: { "k\u0000": "v" } } })?.field, "labels.labels[k\u0000]");
  const machine = create(MachineServiceCreateRequestSchema, { networks: [{ network: "n1" }, { network: "n\u0000" }] });
  assert.equal(badText(MachineServiceCreateRequestSchema, machine)?.field, "networks[1].network");
});
