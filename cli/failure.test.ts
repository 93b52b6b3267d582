import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { create } from "@bufbuild/protobuf";
import { Code, ConnectError } from "@connectrpc/connect";
import { ViolationsSchema } from "#gen/buf/validate/validate_pb.ts";
import { BadRequestSchema, ErrorInfoSchema } from "#gen/google/rpc/error_details_pb.ts";
import { explain, Failure, isPassing } from "./failure.ts";

const server = "http://127.0.0.1:9";
function line(error: unknown): string {
  const failure = explain(error, server);
  assert.ok(failure instanceof Failure);
  return failure.message;
}
const system = (code: string) => Object.assign(new Error(code), { code });

describe("the one line that a failure shows", () => {
  test("names the server that cannot be reached, and how to name another", () => {
    const refused = new ConnectError("x", Code.Unavailable, undefined, undefined, system("ECONNREFUSED"));
    assert.match(line(refused), /^cannot reach http:\/\/127\.0\.0\.1:9 \(nothing listens there\).*HOLDFAST_SERVER/);
    assert.equal((explain(refused, server) as Failure).exitCode, 3);
  });

  test("asks for the CA when the certificate is not trusted", () => {
    const cause = system("DEPTH_ZERO_SELF_SIGNED_CERT");
    assert.match(line(new ConnectError("x", Code.Internal, undefined, undefined, cause)), /--ca FILE$/);
  });

  test("says how to log in when the token is not taken", () => {
    assert.match(line(new ConnectError("token expired", Code.Unauthenticated)), /\(token expired\): holdfast login/);
  });

  test("names every field that was refused", () => {
    const detail = {
      desc: ViolationsSchema,
      value: create(ViolationsSchema, {
        violations: [{ field: { elements: [{ fieldName: "name" }] }, message: "must be 2 to 128 characters" }],
      }),
    };
    const sent = new ConnectError("invalid", Code.InvalidArgument, undefined, [detail]);
    assert.equal(line(sent), "refused: name: must be 2 to 128 characters");
    const own = {
      desc: BadRequestSchema,
      value: { fieldViolations: [{ field: "size", description: "unknown size x" }] },
    };
    assert.equal(line(new ConnectError("no", Code.InvalidArgument, undefined, [own])), "refused: size: unknown size x");
  });

  test("ends with the stable word of the refusal", () => {
    const detail = { desc: ErrorInfoSchema, value: create(ErrorInfoSchema, { reason: "MACHINE_LOCKED" }) };
    const refused = new ConnectError("machine m is locked", Code.FailedPrecondition, undefined, [detail]);
    assert.equal(line(refused), "failed precondition: machine m is locked (MACHINE_LOCKED)");
  });

  test("lets a programming error through as it is", () => {
    const wrong = new TypeError("x is undefined");
    assert.equal(explain(wrong, server), wrong);
  });
});

test("only an absent server is worth another try", () => {
  assert.equal(isPassing(new ConnectError("x", Code.Unavailable)), true);
  assert.equal(isPassing(new ConnectError("x", Code.Unknown, undefined, undefined, system("ECONNRESET"))), true);
  assert.equal(isPassing(new ConnectError("x", Code.PermissionDenied)), false);
  assert.equal(isPassing(new Error("x")), false);
});
