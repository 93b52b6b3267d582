import type { FollowResponse, Recollection } from "#gen/holdfast/sync/v1/sync_pb.ts";
import { bug } from "#lib/bug.ts";
import type { ComingSet, Ledger } from "../ledger/ledger.ts";
import type { Told } from "../observations/observations.ts";
import type { Outbox } from "../outbox/outbox.ts";

export interface FollowStreamPorts {
  readonly ledger: Ledger;
  readonly outbox: Outbox;
  /** Called before anything of a set is taken, and after a report: what was told elsewhere may not be known any more. */
  readonly tellAll: (to: Partial<Told>) => Promise<void>;
  readonly recollect: (recollection: Recollection) => Promise<void>;
  readonly upToDate: () => Promise<void>;
}

/** Takes the messages of one Follow stream, in order, into the ledger. A snapshot is written aside and swapped at its end. */
export class FollowStream {
  readonly #ports: FollowStreamPorts;
  #snapshot: { readonly revision: bigint; readonly set: ComingSet } | undefined;

  constructor(ports: FollowStreamPorts) {
    this.#ports = ports;
  }

  /** Resolves when the message's effect is durable. @throws when the stream breaks its own rules */
  async take(message: FollowResponse): Promise<void> {
    const { event } = message;
    switch (event.case) {
      case "snapshotBegin": {
        const { history, revision } = event.value;
        await this.#ports.tellAll({ history });
        this.#snapshot = { revision, set: await this.#ports.ledger.begin({ history, revision }) };
        return;
      }
      case "snapshotItems":
        await this.#open("items").set.add(event.value.items);
        return;
      case "snapshotEnd": {
        const { revision, set } = this.#open("an end");
        if (event.value.revision !== revision)
          throw new Error(`central began a snapshot of revision ${revision} and ended ${event.value.revision}`);
        this.#snapshot = undefined;
        await set.finish();
        return;
      }
      case "delta":
        if (this.#snapshot) throw new Error("central sent a delta inside a snapshot");
        await this.#ports.ledger.applyDelta(event.value.revision, event.value.items);
        return;
      case "recollection":
        await this.#ports.recollect(event.value);
        return;
      case "digest": {
        const told = new Map(event.value.kinds.map(({ kind, items, digest }) => [kind, { items, digest }]));
        const kinds = this.#ports.ledger.driftFrom(told);
        if (kinds.length > 0)
          throw new Error(`the ledger has drifted from central in ${kinds.join(", ")}: all is asked for anew`);
        return;
      }
      case "heartbeat":
        await this.#ports.ledger.enforceAccepted();
        await this.#ports.upToDate();
        await this.#ports.outbox.offerAgain(event.value.takes);
        return;
      case undefined:
        // An unknown case comes from a newer central: ignored, as the contract says.
        return;
      default:
        bug(`follow event ${JSON.stringify(event satisfies never)}`);
    }
  }

  #open(what: string) {
    return this.#snapshot ?? bugInStream(what);
  }
}

const bugInStream = (what: string): never => {
  throw new Error(`central sent ${what} of a snapshot without its beginning`);
};
