// Whose history is this? The id is kept in etcd itself, so a cluster that is restored from a backup brings the old one along.
// Three signs give a restored cluster away, and each makes a new id:
//
// - the cluster id is another one than noted with the history id (a restore under another token or other addresses);
// - the store's revision is below one that this process has seen;
// - the revision has gained on the raft index. Every revision takes a raft entry, so the revision less the index never rises
//   while a cluster lives; a restore keeps the revision and begins the index anew.
//
// A member's folder that is copied back as a whole while no central runs shows none of them.
import type { Random } from "#lib/random.ts";
import { StoreUnavailable } from "../store/store.ts";
import type { EtcdClient } from "./etcd-client.ts";

/** The index and the revision of a status may be a few entries apart. */
const surplusSlack = 100n;

interface HistoryRecord {
  readonly id: string;
  readonly cluster: string;
  /** Revision less raft index when the record was made. */
  readonly surplus: string;
}

export class EtcdHistory {
  readonly #client: EtcdClient;
  readonly #key: Buffer;
  readonly #random: Random;
  #seen = 0n;

  constructor(client: EtcdClient, key: string, random: Random) {
    this.#client = client;
    this.#key = Buffer.from(key);
    this.#random = random;
  }

  /** Notes a revision that a linearizable answer carried. */
  saw(revision: bigint): void {
    if (revision > this.#seen) this.#seen = revision;
  }

  async current(): Promise<string> {
    for (let attempt = 0; attempt < 5; attempt++) {
      const status = await this.#client.ask((etcd) => etcd.maintenance.status());
      const surplus = BigInt(status.header.revision) - BigInt(status.raftAppliedIndex);
      const seen = this.#seen; // now: an answer that overtakes the next one is no sign
      const found = await this.#client.ask((etcd) => etcd.kv.range({ key: this.#key }));
      const [item] = found.kvs;
      const revision = BigInt(found.header.revision);
      const record = item && (JSON.parse(item.value.toString()) as HistoryRecord);
      const isSame =
        record !== undefined &&
        record.cluster === found.header.cluster_id &&
        surplus <= BigInt(record.surplus) + surplusSlack &&
        revision >= seen;
      if (isSame) {
        this.saw(revision);
        return record.id;
      }
      const fresh = { id: this.#random.uuid(), cluster: found.header.cluster_id, surplus: String(surplus) };
      if (await this.#replace(item?.mod_revision ?? "0", fresh)) {
        this.#seen = revision;
        return fresh.id;
      }
    }
    throw new StoreUnavailable(`${this.#client.name}: others keep changing ${this.#key}`);
  }

  async #replace(modRevision: string, record: HistoryRecord): Promise<boolean> {
    const { succeeded } = await this.#client.call((etcd) =>
      etcd.kv.txn({
        compare: [{ key: this.#key, target: "Mod", result: "Equal", mod_revision: modRevision }],
        success: [{ request_put: { key: this.#key, value: Buffer.from(JSON.stringify(record)) } }],
      }),
    );
    return succeeded;
  }
}
