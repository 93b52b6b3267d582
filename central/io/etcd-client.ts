// One etcd cluster through the etcd3 package, without its retries: it repeats a transaction whose answer was lost, and the
// repeat then fails on its own success.
import { Etcd3, type IOptions } from "etcd3";
import { reasonOf } from "#lib/reason-of.ts";
import { Refusal } from "#lib/refusal.ts";
import type { Secret } from "#lib/secret.ts";
import { Compacted, StoreUnavailable } from "../store/store.ts";

export interface EtcdConnection {
  /** `http://…` or `https://…`, one per member. */
  readonly endpoints: readonly string[];
  /** PEM texts. `ca` checks the server, absent: the system's; `cert` and `key` identify this client. */
  readonly tls?: { readonly ca?: string; readonly cert?: string; readonly key?: Secret };
  readonly user?: { readonly name: string; readonly password: Secret };
  readonly timeoutMs?: number;
}

type Policy = NonNullable<NonNullable<IOptions["faultHandling"]>["global"]>;

const restMs = 2_000;
/** The member was not reached, so nothing was asked of it and another may be tried. */
const neverSent = /No connection established|Name resolution failed|DEADLINE_EXCEEDED(?!.*remote_addr)|a moment ago/s;
const tooMuch =
  /too many operations in txn|request is too large|received message larger than max|trying to send message larger/i;
const isCompacted = /required revision has been compacted/;

export class EtcdClient {
  /** For error texts: `etcd at 10.0.0.1:2379, 10.0.0.2:2379`. */
  readonly name: string;
  readonly etcd: Etcd3;
  readonly #attempts: number;

  constructor({ endpoints, tls, user, timeoutMs = 5_000 }: EtcdConnection) {
    this.name = `etcd at ${endpoints.map((url) => url.replace(/^https?:\/\//, "")).join(", ")}`;
    this.#attempts = endpoints.length + 1;
    const callOptions = () => ({ deadline: Date.now() + timeoutMs });
    this.etcd = new Etcd3({
      hosts: [...endpoints],
      ...(tls === undefined ? {} : { credentials: credentials(tls) }),
      ...(user === undefined ? {} : { auth: { username: user.name, password: user.password.reveal(), callOptions } }),
      defaultCallOptions: (context) => (context.isStream ? {} : callOptions()),
      grpcOptions: {
        "grpc.keepalive_time_ms": 10_000, // etcd hangs up on those who ask more often than every 5 s
        "grpc.keepalive_timeout_ms": 5_000,
        "grpc.max_receive_message_length": 512 * 2 ** 20, // a page of the largest values; the server is trusted
        "grpc.initial_reconnect_backoff_ms": 100,
        "grpc.max_reconnect_backoff_ms": 2_000,
      },
      faultHandling: { global: policy((work) => work()), host: memberPolicies(endpoints.length) },
    });
  }

  /** @throws Compacted, Refusal "exhausted", or StoreUnavailable for all else: it may or may not have been carried out */
  async call<T>(work: (etcd: Etcd3) => Promise<T>): Promise<T> {
    for (let attempt = 1; ; attempt++) {
      try {
        return await work(this.etcd);
      } catch (error) {
        if (attempt < this.#attempts && neverSent.test(String(error))) continue;
        throw this.asOurs(error);
      }
    }
  }

  /** For what is harmless to repeat: asks again, of another member, when there is no answer. */
  async ask<T>(work: (etcd: Etcd3) => Promise<T>): Promise<T> {
    for (let attempt = 1; ; attempt++) {
      try {
        return await this.call(work);
      } catch (error) {
        if (attempt >= this.#attempts || !(error instanceof StoreUnavailable)) throw error;
      }
    }
  }

  asOurs(error: unknown): Error {
    if (error instanceof Compacted || error instanceof Refusal || error instanceof StoreUnavailable) return error;
    const text = reasonOf(error);
    if (isCompacted.test(text)) return new Compacted(0n);
    if (tooMuch.test(text)) return new Refusal("exhausted", `${this.name} refused: ${text}`, { reason: "STORE_LIMIT" });
    return new StoreUnavailable(`${this.name}: ${text}`, { cause: error });
  }

  close(): void {
    this.etcd.close();
  }
}

type Run = <T>(work: () => Promise<T>) => Promise<T>;

/** A policy in the shape that etcd3 wants; its events never fire. */
const policy = (run: Run) =>
  ({
    execute: async (work: (context: { signal: AbortSignal }) => unknown) =>
      run(async () => work({ signal: new AbortController().signal })),
    onSuccess: () => ({ dispose: () => undefined }),
    onFailure: () => ({ dispose: () => undefined }),
  }) as unknown as Policy; // the interface has a property that exists for the type checker only

/**
 * A member that did not answer rests while others can be asked. When all rest, as in an election, all are asked: etcd3's own
 * breaker would then keep every member shut for seconds after the cluster is well again.
 */
function memberPolicies(members: number): () => Policy {
  const restUntilMs = new Map<object, number>();
  const isResting = (member: object) => (restUntilMs.get(member) ?? 0) > performance.now();
  return () => {
    const me = {};
    return policy(async (work) => {
      const resting = [...restUntilMs.keys()].filter(isResting).length;
      if (isResting(me) && resting < members) throw new Error("this member did not answer a moment ago");
      try {
        return await work();
      } catch (error) {
        if (/UNAVAILABLE|DEADLINE_EXCEEDED/.test(String(error))) restUntilMs.set(me, performance.now() + restMs);
        throw error;
      }
    });
  };
}

function credentials({ ca, cert, key }: NonNullable<EtcdConnection["tls"]>) {
  return {
    rootCertificate: (ca === undefined ? null : Buffer.from(ca)) as Buffer, // grpc: null means the system's
    ...(key === undefined ? {} : { privateKey: Buffer.from(key.reveal()) }),
    ...(cert === undefined ? {} : { certChain: Buffer.from(cert) }),
  };
}
