import assert from "node:assert/strict";
import { test } from "node:test";
import { create } from "@bufbuild/protobuf";
import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import { InvitationSchema } from "#gen/holdfast/join/v1/join_pb.ts";
import { AgentIdentitySchema } from "#gen/holdfast/state/v1/join_pb.ts";
import { type JoinFacts, type JoinFile, nextStep, renewAtMs, renewPauseMs } from "./step.ts";

const dayMs = 86_400_000;
const identity = create(AgentIdentitySchema, {
  token: "t1",
  credential: { issuedAt: timestampFromMs(0), notAfter: timestampFromMs(30 * dayMs) },
});
const invited = (token: string): JoinFile => ({
  kind: "invitation",
  invitation: create(InvitationSchema, { token }),
});
const none: JoinFile = { kind: "none" };

test("what an agent does next follows from its certificate, the file and what went wrong", () => {
  const rows: readonly [string, Partial<JoinFacts>, number, string][] = [
    ["without anything it rests", {}, 0, "rest"],
    ["with a file that holds none", { file: { kind: "unusable", why: "" } }, 0, "rest"],
    ["a join token is used", { file: invited("t1") }, 0, "enrol"],
    ["one that it has joined by is not used again", { identity, file: invited("t1") }, 0, "rest"],
    ["another one is, though the certificate is good", { identity, file: invited("t2") }, 0, "enrol"],
    [
      "one that was refused is left alone",
      { file: invited("t1"), pauses: [{ token: "t1", untilMs: Number.POSITIVE_INFINITY }] },
      0,
      "rest",
    ],
    [
      "another one beside it is not",
      { file: invited("t2"), pauses: [{ token: "t1", untilMs: Number.POSITIVE_INFINITY }] },
      0,
      "enrol",
    ],
    ["before two thirds are over it rests", { identity }, 20 * dayMs - 1, "rest"],
    ["then it renews", { identity }, 20 * dayMs, "renew"],
    ["also after the end: whose clock is right central says", { identity }, 31 * dayMs, "renew"],
    ["but not in a pause", { identity, pauses: [{ token: "", untilMs: 5 }] }, 20 * dayMs, "rest"],
    ["a refused token is no pause for it", { identity, pauses: [{ token: "t2", untilMs: 5 }] }, 20 * dayMs, "renew"],
  ];
  for (const [name, facts, wallMs, kind] of rows) {
    const all: JoinFacts = { identity: undefined, file: none, pauses: [], ...facts };
    assert.equal(nextStep(all, { wallMs, monotonicMs: 4 }).kind, kind, name);
  }
});

test("a certificate is renewed after two thirds of its life, and tried again within what is left", () => {
  assert.equal(renewAtMs(identity), 20 * dayMs);
  assert.equal(renewPauseMs(identity, 20 * dayMs), 3_600_000);
  assert.equal(renewPauseMs(identity, 30 * dayMs - 1_000_000), 100_000);
  assert.equal(renewPauseMs(identity, 31 * dayMs), 10_000);
});
