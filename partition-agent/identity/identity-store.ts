import { create, type DescMessage, fromBinary, type MessageShape, toBinary } from "@bufbuild/protobuf";
import {
  type AgentIdentity,
  AgentIdentitySchema,
  type PendingKey,
  PendingKeySchema,
} from "#gen/holdfast/state/v1/join_pb.ts";
import type { Disk } from "#lib/disk.ts";
import type { Log } from "#lib/log.ts";
import type { KeyPair } from "#lib/x509/keys.ts";

const table = "central-identity";
const presentKey = "present";
const pendingKey = "pending";

/** Who the agent is for central, on its disk. What cannot be read is as if it were not there, and the log says so. */
export class IdentityStore {
  readonly #disk: Disk;
  readonly #log: Log;
  #present: AgentIdentity | undefined;

  constructor(disk: Disk, log: Log) {
    this.#disk = disk;
    this.#log = log;
    this.#present = this.#read(presentKey, AgentIdentitySchema);
  }

  get present(): AgentIdentity | undefined {
    return this.#present;
  }

  /** The key that this join token was used with, if its answer never came; else a new one, durable when it resolves. */
  async pairFor(token: string, newPair: () => KeyPair): Promise<KeyPair> {
    const pending: PendingKey | undefined = this.#read(pendingKey, PendingKeySchema);
    if (pending?.token === token) return pending;
    const pair = newPair();
    const value = toBinary(PendingKeySchema, create(PendingKeySchema, { ...pair, token }));
    await this.#disk.write([{ table, key: pendingKey, value }]);
    return pair;
  }

  async adopt(identity: AgentIdentity): Promise<void> {
    await this.#disk.write([
      { table, key: presentKey, value: toBinary(AgentIdentitySchema, identity) },
      { table, key: pendingKey, value: undefined },
    ]);
    this.#present = identity;
  }

  #read<S extends DescMessage>(key: string, schema: S): MessageShape<S> | undefined {
    const stored = this.#disk.get(table, key);
    if (!stored) return undefined;
    try {
      return fromBinary(schema, stored);
    } catch (error) {
      this.#log.error("identity-unreadable", { key, error });
      return undefined;
    }
  }
}
