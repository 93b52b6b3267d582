// A central at which agents can join, and agents that call it over connections with and without a certificate.

import type { DescService } from "@bufbuild/protobuf";
import { type Client, createClient, createRouterTransport, type Interceptor } from "@connectrpc/connect";
import { parseJoinString } from "#domain/join/join-string.ts";
import { PartitionService } from "#gen/holdfast/api/v1/partition_pb.ts";
import { type EnrolRequest, type Invitation, JoinService } from "#gen/holdfast/join/v1/join_pb.ts";
import { PartitionService as AdminPartitionService } from "#gen/metalstack/admin/v2/partition_pb.ts";
import { hex } from "#lib/bytes.ts";
import { dayMs } from "#lib/durations.ts";
import { ecdsaKeys as keys } from "#lib/io/ecdsa-keys.ts";
import type { Log } from "#lib/log.ts";
import { checked } from "#lib/result.ts";
import { peerKey } from "#lib/rpc/peer.ts";
import type { KeyPair } from "#lib/x509/keys.ts";
import { certificateRequest } from "#lib/x509/request.ts";
import type { Implementation } from "../../services.ts";
import { type TestCentral, testCentral } from "../../testing/central.ts";
import { Authority } from "../authority.ts";
import { joinServices } from "../services.ts";

export const endpoint = "https://central.example:8443";

export interface JoinCentral extends TestCentral {
  readonly authority: Authority;
  /** What central shows: its own authority at first. */
  readonly face: { certificate: Uint8Array | undefined };
  /** A client on a connection with this certificate, DER, and without a token. */
  showing<S extends DescService>(service: S, certificate: Uint8Array): Client<S>;
  invite(partition?: string): Promise<Invitation>;
  /** As the agent of partition lab does, unless told otherwise. */
  enrol(invitation: Invitation, pair: KeyPair, change?: Partial<EnrolRequest>): Promise<Uint8Array>;
  renew(certificate: Uint8Array): Promise<Uint8Array>;
}

/** With partition lab in it. */
export async function joinCentral(
  given: {
    readonly log?: Log;
    readonly certificateMs?: number;
    readonly more?: (ports: { state: TestCentral["state"] }) => readonly Implementation[];
  } = {},
): Promise<JoinCentral> {
  let authority!: Authority;
  const face: { certificate: Uint8Array | undefined } = { certificate: undefined };
  const certificateMs = given.certificateMs ?? 30 * dayMs;
  const central = await testCentral(
    async (ports) => {
      authority = await Authority.open({ ...ports, keys });
      face.certificate = authority.certificate;
      const join = { authority, keys, shown: () => face.certificate, certificateMs };
      return [...joinServices({ ...ports, ...join }), ...(given.more?.(ports) ?? [])];
    },
    { log: given.log },
  );
  await central.client(AdminPartitionService).create({ partition: { id: "lab" } });

  const showing = <S extends DescService>(service: S, certificate: Uint8Array): Client<S> => {
    const connected: Interceptor = (next) => (request) => {
      const peer = { address: "10.0.0.9", encrypted: true, certificate: hex(keys.sha256(certificate)) };
      request.contextValues.set(peerKey, peer);
      return next(request);
    };
    const { routes, interceptors } = central.api;
    return createClient(
      service,
      createRouterTransport(routes, { router: { interceptors: [connected, ...interceptors] } }),
    );
  };
  const requestOf = (pair: KeyPair) => certificateRequest("anything", pair, keys);
  return {
    ...central,
    authority,
    face,
    showing,
    async invite(partition = "lab") {
      const made = await central.client(PartitionService).createJoinToken({ partition, endpoint });
      return checked(parseJoinString(made.joinString));
    },
    async enrol({ token, secret }, pair, change = {}) {
      const asked = {
        token,
        secret,
        partition: "lab",
        certificateRequest: requestOf(pair),
        host: "agent-1",
        ...change,
      };
      const { credential } = await central.anonymous(JoinService).enrol(asked);
      return credential!.certificate;
    },
    async renew(certificate) {
      const asked = { certificateRequest: requestOf(keys.newPair()), host: "agent-1" };
      const { credential } = await showing(JoinService, certificate).renew(asked);
      return credential!.certificate;
    },
  };
}
