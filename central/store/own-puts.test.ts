import assert from "node:assert/strict";
import { test } from "node:test";
import { create, toBinary } from "@bufbuild/protobuf";
import { JoinSecretSchema } from "#gen/holdfast/state/v1/join_pb.ts";
import { ProjectSchema } from "#gen/metalstack/api/v2/project_pb.ts";
import { type Kind, keyOf, kinds } from "./kinds.ts";
import { OwnPuts } from "./own-puts.ts";

const project = create(ProjectSchema, { uuid: "a", name: "first" });
const value = toBinary(ProjectSchema, project);
const put = { key: keyOf(kinds.project, "a"), value, decoded: project };
const shown = (of: OwnPuts, kind: Kind, key: string, bytes: Uint8Array) =>
  of.messageOf(kind, { key, value: bytes, revision: 2n, created: 1n });

test("what was put is known as long as it is expected, and by its very bytes only", () => {
  const own = new OwnPuts();
  assert.equal(shown(own, kinds.project, put.key, value), undefined);
  own.expect([put]);
  assert.equal(shown(own, kinds.project, put.key, value.slice()), project);
  const other = toBinary(ProjectSchema, create(ProjectSchema, { uuid: "a", name: "other" }));
  assert.equal(shown(own, kinds.project, put.key, other), undefined);
  own.expectNoLonger([{ ...put }]);
  assert.equal(shown(own, kinds.project, put.key, value), project, "another put of the same key is over");
  own.expectNoLonger([put]);
  assert.equal(shown(own, kinds.project, put.key, value), undefined);
});

test("what holds bytes is decoded, since a Buffer that was put is none when it is read", () => {
  const secret = create(JoinSecretSchema, { hash: Buffer.from("ab") });
  const bytes = toBinary(JoinSecretSchema, secret);
  const own = new OwnPuts();
  const key = keyOf(kinds.joinSecret, "a");
  own.expect([{ key, value: bytes, decoded: secret }]);
  assert.equal(shown(own, kinds.joinSecret, key, bytes), undefined);
});
