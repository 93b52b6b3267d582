// Where a page ends, as an opaque text: the last id, and of which list it is. It is no secret and grants nothing: each page is read
// with the rights of whoever asks for it.
import { create } from "@bufbuild/protobuf";
import { base64Decode, base64Encode } from "@bufbuild/protobuf/wire";
import { type ListServiceListRequest, ListServiceListRequestSchema } from "#gen/holdfast/api/v1/list_pb.ts";
import { hex } from "#lib/bytes.ts";
import { messageDigest } from "#lib/message-digest.ts";
import { Refusal } from "#lib/refusal.ts";

const digestCharacters = 32;

/** The same for all pages of a list. */
export async function listOf({ kind, query }: ListServiceListRequest): Promise<string> {
  const list = create(ListServiceListRequestSchema, { kind, ...(query && { query }) });
  return hex(await messageDigest(ListServiceListRequestSchema, list)).slice(0, digestCharacters);
}

export const pageToken = (list: string, lastId: string): string =>
  base64Encode(new TextEncoder().encode(list + lastId), "url");

/**
 * @returns the id after which the page begins; undefined for the first
 * @throws Refusal "invalid" for what is no token, and for one of another list
 */
export function lastIdIn(token: string, list: string): string | undefined {
  if (token === "") return undefined;
  const text = decoded(token);
  if (text === undefined || !/^[0-9a-f]{32}/.test(text)) throw wrong("PAGE_TOKEN_INVALID", "is none of this service");
  if (!text.startsWith(list)) throw wrong("PAGE_TOKEN_OF_ANOTHER_LIST", "was given for another kind or query");
  return text.slice(digestCharacters);
}

function decoded(token: string): string | undefined {
  try {
    return new TextDecoder("utf-8", { fatal: true }).decode(base64Decode(token));
  } catch {
    return undefined; // any text may come
  }
}

const wrong = (reason: string, why: string) =>
  new Refusal("invalid", `the page token ${why}`, { field: "page_token", reason });
