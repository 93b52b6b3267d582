// holdfast.join.v1.JoinService: an agent comes with a join token, and comes again before its certificate ends.
import type { HandlerContext, ServiceImpl } from "@connectrpc/connect";
import type { JoinService } from "#gen/holdfast/join/v1/join_pb.ts";
import type { AgentCertificate } from "#gen/holdfast/state/v1/join_pb.ts";
import { equalBytes } from "#lib/bytes.ts";
import type { Clock } from "#lib/clock.ts";
import type { Log } from "#lib/log.ts";
import { Refusal } from "#lib/refusal.ts";
import { peerKey } from "#lib/rpc/peer.ts";
import type { Keys } from "#lib/x509/keys.ts";
import { requestedKey } from "#lib/x509/request.ts";
import { callerOf } from "../access/caller.ts";
import { usable } from "../catalog/catalog.ts";
import { checkPartition } from "../identity/same-partition.ts";
import { kinds } from "../store/kinds.ts";
import type { State } from "../store/state.ts";
import { credentialOf, type Holder, issueFor, keep, renew } from "./agent-certificates.ts";
import type { Authority } from "./authority.ts";
import { checkUsable, provenToken, putUsed } from "./join-tokens.ts";

export interface JoinPorts {
  readonly authority: Authority;
  readonly keys: Keys;
  /** The certificate that agents know this central by, DER: the last of the chain that it shows. Undefined: it shows none. */
  readonly shown: () => Uint8Array | undefined;
  /** Life of an agent's certificate. */
  readonly certificateMs: number;
}

export type JoinServicePorts = JoinPorts & { readonly state: State; readonly clock: Clock; readonly log: Log };

export function joinService(ports: JoinServicePorts): ServiceImpl<typeof JoinService> {
  const { state, clock, keys, log } = ports;
  return {
    async enrol({ token: id, secret, partition, certificateRequest, host }, context) {
      try {
        const shown = { token: id, hash: keys.sha256(secret) };
        // Nothing is signed, or even read, for those who do not hold the secret.
        const token = provenToken({ get: (kind, of) => state.get(kind, of)?.value }, shown);
        checkPartition(state, token.partition, state.get(kinds.joinToken, id));
        const holder = { ...keyOf(certificateRequest, keys), partition, token: id, host };
        const certificate = await enrolled(ports, shown, holder);
        log.info("agent-enrolled", { partition, token: id, host, certificate: certificate.serial });
        return { credential: credentialOf(certificate, authoritiesOf(ports)) };
      } catch (error) {
        if (error instanceof Refusal) log.warn("enrolment-refused", { partition, token: id, error, ...from(context) });
        throw error;
      }
    },

    async renew({ certificateRequest, host }, context) {
      const { certificate: fingerprint } = callerOf(context);
      const present = fingerprint === undefined ? undefined : state.get(kinds.agentCertificate, fingerprint)?.value;
      if (!present) {
        const text = "only who shows an agent's certificate on this connection can renew it";
        throw new Refusal("precondition", text, { reason: "CERTIFICATE_WANTED" });
      }
      const { partition, token } = present;
      const holder = { ...keyOf(certificateRequest, keys), partition, token, host };
      const certificate = issueFor(holder, ports.authority, ports.certificateMs);
      await state.transact((tx) => renew(tx, present.fingerprint, certificate, clock.wallMs()));
      log.info("certificate-renewed", { partition, before: present.serial, certificate: certificate.serial });
      return { credential: credentialOf(certificate, authoritiesOf(ports)) };
    },
  };
}

/** Checked, marked used and given in one transaction. Whoever asks again with the same key gets what was given to it. */
async function enrolled(
  { state, clock, authority, certificateMs }: JoinServicePorts,
  shown: Parameters<typeof provenToken>[1],
  holder: Holder,
): Promise<AgentCertificate> {
  const certificate = issueFor(holder, authority, certificateMs);
  const { result } = await state.transact((tx) => {
    const nowMs = clock.wallMs();
    const token = provenToken(tx, shown);
    const { partition, keyHash } = holder;
    const given = token.use && tx.get(kinds.agentCertificate, token.use.fingerprint);
    if (given && !given.revokedAt && token.partition === partition && equalBytes(given.keyHash, keyHash)) return given;
    checkUsable(token, partition, nowMs);
    usable(tx, kinds.partition, partition, "partition");
    putUsed(tx, token, { host: holder.host, fingerprint: certificate.fingerprint }, nowMs);
    keep(tx, certificate, nowMs);
    return certificate;
  });
  return result;
}

/** @throws Refusal "invalid" */
function keyOf(request: Uint8Array, keys: Keys): Pick<Holder, "publicKey" | "keyHash"> {
  const publicKey = requestedKey(request, keys);
  if (!publicKey.ok) throw new Refusal("invalid", publicKey.error, { field: "certificate_request" });
  return { publicKey: publicKey.value, keyHash: keys.sha256(publicKey.value) };
}

/** Central's own is among them in any case, so that a central that begins to use it is known. */
const authoritiesOf = ({ shown, authority }: JoinPorts): readonly Uint8Array[] => {
  const known = shown();
  return known === undefined || equalBytes(known, authority.certificate)
    ? [authority.certificate]
    : [known, authority.certificate];
};

const from = (context: HandlerContext) => ({ address: context.values.get(peerKey).address });
