import { create } from "@bufbuild/protobuf";
import { exportJWK, generateKeyPair } from "jose";
import { type SigningKey, SigningKeySchema } from "#gen/holdfast/state/v1/token_pb.ts";
import { signingAlgorithm } from "../identity/keyring.ts";

/** A fresh key pair. The id is given to it when it is stored. */
export async function newSigningKey(): Promise<SigningKey> {
  const { privateKey } = await generateKeyPair(signingAlgorithm, { extractable: true });
  return create(SigningKeySchema, { privateJwk: JSON.stringify(await exportJWK(privateKey)) });
}
