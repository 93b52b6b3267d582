// Agents that are known by certificates: how one reaches central with them, and whoever lets it in. The handshake is not simulated: who
// shows a certificate is believed to hold its key. What central and the agent decide about it is the shipped code.
import { createHash } from "node:crypto";
import type { DescService } from "@bufbuild/protobuf";
import { type Client, createClient, type Interceptor, type Transport } from "@connectrpc/connect";
import { JoinedClient } from "#agent/identity/joined-client.ts";
import { Joiner } from "#agent/identity/joiner.ts";
import type { SyncClient } from "#agent/link/link.ts";
import { JoinService } from "#gen/holdfast/join/v1/join_pb.ts";
import { SyncService } from "#gen/holdfast/sync/v1/sync_pb.ts";
import { hex } from "#lib/bytes.ts";
import type { Disk } from "#lib/disk.ts";
import type { Log } from "#lib/log.ts";
import { peerKey } from "#lib/rpc/peer.ts";
import type { Seeded } from "#lib/seeded.ts";
import type { KeyPair, Keys } from "#lib/x509/keys.ts";
import type { Life } from "./life.ts";

const sha256 = (...parts: readonly Uint8Array[]): Uint8Array =>
  parts.reduce((hash, part) => hash.update(part), createHash("sha256")).digest();

/** SubjectPublicKeyInfo of P-256, up to the point. @source RFC 5480 §2 */
const p256 = Buffer.from("3059301306072a8648ce3d020106082a8648ce3d03010703420004", "hex");

/** Keys by chance that is the same for the same seed. Their signatures hold as long as nobody forges one. */
export function simKeys(random: Seeded): Keys {
  const publicOf = (privateKey: Uint8Array) => Buffer.concat([p256, sha256(privateKey), sha256(sha256(privateKey))]);
  const signature = (publicKey: Uint8Array, told: Uint8Array) => sha256(publicKey, told);
  return {
    newPair(): KeyPair {
      const privateKey = random.bytes(32);
      return { privateKey, publicKey: publicOf(privateKey) };
    },
    sign: (privateKey, told) => signature(publicOf(privateKey), told),
    isSignedBy: (publicKey, told, signed) => hex(signature(publicKey, told)) === hex(signed),
    sha256,
  };
}

const peerHeader = "sim-certificate";

/** Goes before all of central's interceptors: what the handshake would have told. */
export const shownByPeer: Interceptor = (next) => (request) => {
  const certificate = request.header.get(peerHeader);
  if (certificate !== null) request.contextValues.set(peerKey, { address: "", encrypted: true, certificate });
  return next(request);
};

/** Calls under a certificate, or under none. */
function clientShowing<S extends DescService>(
  service: S,
  transport: Transport,
  certificate: Uint8Array | undefined,
): Client<S> {
  const dressed = (given: ConstructorParameters<typeof Headers>[0] | undefined) => {
    const header = new Headers(given);
    if (certificate) header.set(peerHeader, fingerprintOf(certificate));
    return header;
  };
  return createClient(service, {
    unary: (method, signal, timeoutMs, header, input, values) =>
      transport.unary(method, signal, timeoutMs, dressed(header), input, values),
    stream: (method, signal, timeoutMs, header, input, values) =>
      transport.stream(method, signal, timeoutMs, dressed(header), input, values),
  });
}

/** As central knows it. */
export const fingerprintOf = (certificate: Uint8Array): string => hex(sha256(certificate));

export interface JoinedPlace {
  readonly partition: string;
  readonly life: Life;
  readonly disk: Disk;
  readonly random: Seeded;
  readonly log: Log;
  /** What is in the file for the join string. */
  readonly file: () => string | undefined;
  /** To central. */
  readonly transport: Transport;
  /** To whichever central there is, when a stream begins. */
  readonly anew: () => void;
}

/** An agent's access to central by certificate, over a line in place of TLS. */
export function joinedAccess(place: JoinedPlace): { readonly client: SyncClient; readonly joiner: Joiner } {
  const { partition, life, disk, random, log, file, transport, anew } = place;
  const joiner: Joiner = new Joiner({
    ...{ partition, host: life.name, disk, clock: life, random, log },
    file: { path: "join-token", read: async () => file() },
    keys: simKeys(random.branch("keys")),
    client: {
      enrol: async (_invitation, request, signal) =>
        (await clientShowing(JoinService, transport, undefined).enrol(request, { signal })).credential,
      renew: async ({ credential }, request, signal) =>
        (await clientShowing(JoinService, transport, credential?.certificate).renew(request, { signal })).credential,
    },
    changed: () => client.changed(),
  });
  const client: JoinedClient = new JoinedClient({
    identity: () => joiner.identity,
    why: () => joiner.status.problem,
    unknown: (identity) => joiner.unknown(identity),
    dial: ({ credential }) => {
      const sync = clientShowing(SyncService, transport, credential?.certificate);
      return {
        follow: (request, signal) => {
          anew();
          return sync.follow(request, { signal });
        },
        report: (request, signal) => sync.report(request, { signal }),
      };
    },
  });
  return { client, joiner };
}
