// The one string by which an agent joins: made by central, carried by people, read by the agent.
import { fromBinary, toBinary } from "@bufbuild/protobuf";
import { base64Decode, base64Encode } from "@bufbuild/protobuf/wire";
import { type Invitation, InvitationSchema } from "#gen/holdfast/join/v1/join_pb.ts";
import { fail, ok, type Result } from "#lib/result.ts";

/** Begins every join string; the number is that of its form. */
const mark = "holdfast-join-1.";
const fingerprintBytes = 32;

export const joinString = (invitation: Invitation): string =>
  `${mark}${base64Encode(toBinary(InvitationSchema, invitation), "url")}`;

/** @returns an invitation that is complete; a failure never repeats the text, which may hold a secret */
export function parseJoinString(text: string): Result<Invitation> {
  const trimmed = text.trim();
  if (!trimmed.startsWith(mark)) return fail(`it does not begin with ${mark}`);
  const invitation = decoded(trimmed.slice(mark.length));
  if (invitation === undefined) return fail("it is damaged or cut short");
  const { endpoint, fingerprint, token, secret, expires } = invitation;
  const isWhole = fingerprint.length === fingerprintBytes && token !== "" && secret.length > 0 && expires !== undefined;
  if (!isWhole) return fail("it is cut short");
  if (!isEndpoint(endpoint)) return fail(`its endpoint ${endpoint} is no URL of the form https://HOST:PORT`);
  return ok(invitation);
}

/** Joining is over TLS only. */
export const isEndpoint = (url: string): boolean => /^https:\/\/[^/?#\s@]+$/.test(url);

function decoded(text: string): Invitation | undefined {
  if (!/^[A-Za-z0-9_-]+$/.test(text)) return undefined;
  try {
    return fromBinary(InvitationSchema, base64Decode(text));
  } catch {
    return undefined;
  }
}
