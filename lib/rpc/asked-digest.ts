import type { DescMethod, Message } from "@bufbuild/protobuf";
import { hex } from "../bytes.ts";
import { messageDigest, sha256 } from "../message-digest.ts";
import { asksUniqueName, uniqueNameHeader } from "./unique-name.ts";

export interface Called {
  readonly method: DescMethod;
  readonly requestHeader: Headers;
}

/** Of all that a call asks: of its request alone, but for headers that ask for something else. */
export async function askedDigest({ method, requestHeader }: Called, request: Message): Promise<Uint8Array> {
  const digest = await messageDigest(method.input, request);
  return asksUniqueName(requestHeader) ? await sha256(JSON.stringify([hex(digest), uniqueNameHeader])) : digest;
}
