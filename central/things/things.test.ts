import assert from "node:assert/strict";
import { test } from "node:test";
import { create } from "@bufbuild/protobuf";
import { ThingSchema } from "#gen/holdfast/api/v1/thing_pb.ts";
import { MachineAllocationSchema, MachineVPNSchema } from "#gen/metalstack/api/v2/machine_pb.ts";
import { rules } from "../rules.ts";
import { kinds } from "../store/kinds.ts";
import { thingKinds } from "./kinds.ts";
import { canHoldSecrets, withoutSecrets } from "./without-secrets.ts";

test("every stored kind is shown or is named here as one that is not", () => {
  const notShown = [
    kinds.tenantInvite,
    kinds.projectInvite,
    kinds.audit,
    kinds.siteAudit,
    kinds.claim,
    kinds.change,
    kinds.changeHorizon,
    kinds.keptAnswer,
    kinds.budgetUse,
    kinds.siteAccess,
    kinds.acceptedHistory,
    kinds.historyHold,
    kinds.ledgerContradictions,
    kinds.centralSession,
    kinds.agentLife,
    kinds.reportCursor,
    kinds.joinToken,
    kinds.joinSecret,
    kinds.agentCertificate,
    kinds.certificateAuthority,
    kinds.signingKey,
    kinds.consolePassword,
    kinds.bmcAccess,
  ];
  const shown = thingKinds.flatMap(({ kind, halves }) => [kind, ...halves]);
  assert.deepEqual(
    [...shown, ...notShown].map((kind) => kind.name).sort(),
    Object.values(kinds)
      .map((kind) => kind.name)
      .sort(),
  );
});

test("every kind has a field of Thing, and is shown by calls that there are", () => {
  const fields = ThingSchema.oneofs[0]?.fields.map((field) => field.name.replaceAll("_", "-"));
  assert.deepEqual(
    fields,
    thingKinds.map((kind) => kind.name),
  );
  for (const { readings } of thingKinds) for (const { method } of readings) assert.ok(rules.has(method), method);
});

test("of all that is shown, only what is allocated can hold secrets, and they are left out of a copy", () => {
  const types = ThingSchema.oneofs[0]?.fields.flatMap((field) => field.message ?? []) ?? [];
  assert.deepEqual(
    types.filter(canHoldSecrets).map((type) => type.name),
    ["Machine"],
  );
  const machine = types.find((type) => type.name === "Machine");
  const within = machine?.fields.filter((field) => field.message && canHoldSecrets(field.message));
  assert.deepEqual(
    within?.map((field) => field.name),
    ["allocation"],
  );
  const vpn = create(MachineVPNSchema, { authKey: "canary", connected: true });
  const allocation = create(MachineAllocationSchema, { userdata: "canary", name: "web", vpn });
  const copy = withoutSecrets(MachineAllocationSchema, allocation);
  assert.deepEqual([copy.userdata, copy.name, copy.vpn?.authKey, copy.vpn?.connected], ["", "web", "", true]);
  assert.deepEqual([allocation.userdata, vpn.authKey], ["canary", "canary"]);
  assert.equal(withoutSecrets(MachineAllocationSchema, allocation), copy, "it is made once");
});
