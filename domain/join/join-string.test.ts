import assert from "node:assert/strict";
import { test } from "node:test";
import { create, toBinary } from "@bufbuild/protobuf";
import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import fc from "fast-check";
import { InvitationSchema } from "#gen/holdfast/join/v1/join_pb.ts";
import { joinString, parseJoinString } from "./join-string.ts";

const invitation = create(InvitationSchema, {
  endpoint: "https://central.example:8443",
  fingerprint: new Uint8Array(32).fill(1),
  token: "a-token",
  secret: new Uint8Array(32).fill(250),
  expires: timestampFromMs(1_800_000_000_000),
});
const text = joinString(invitation);

test("a join string is one word that says again what it was made of, white space around it or not", () => {
  assert.match(text, /^holdfast-join-1\.[\w-]+$/);
  const read = parseJoinString(`\n${text} \n`);
  assert.ok(read.ok);
  assert.deepEqual(toBinary(InvitationSchema, read.value), toBinary(InvitationSchema, invitation));
});

test("a join string that was cut short anywhere is refused, and what is said repeats nothing of it", () => {
  for (let end = 0; end < text.length; end++) {
    const read = parseJoinString(text.slice(0, end));
    // The last letter may hold nothing but padding.
    if (read.ok) assert.equal(end, text.length - 1);
    else assert.ok(!read.error.includes(text.slice(20, 30)));
  }
});

test("an endpoint without TLS, or with more than host and port, is refused", () => {
  for (const endpoint of ["http://c:1", "https://c:1/path", "c:1", "", "https://user@c:1", "https://"])
    assert.ok(!parseJoinString(joinString({ ...invitation, endpoint })).ok, endpoint);
});

test("any text is answered", () => {
  fc.assert(fc.property(fc.string(), (any) => !parseJoinString(any).ok));
  fc.assert(fc.property(fc.base64String(), (any) => !parseJoinString(`holdfast-join-1.${any}`).ok));
});
