import type { DesiredItem, FollowResponse, ReportEntry } from "#gen/holdfast/sync/v1/sync_pb.ts";
import { bug } from "#lib/bug.ts";
import type { Ledger } from "../ledger/ledger.ts";

export interface FollowStreamPorts {
  readonly ledger: Ledger;
  readonly recollect: (entries: readonly ReportEntry[]) => Promise<void>;
  readonly upToDate: () => Promise<void>;
}

/** Takes the messages of one Follow stream, in order, into the ledger. A snapshot is collected aside and swapped at its end. */
export class FollowStream {
  readonly #ports: FollowStreamPorts;
  #snapshot: { readonly history: string; readonly revision: bigint; readonly items: DesiredItem[] } | undefined;

  constructor(ports: FollowStreamPorts) {
    this.#ports = ports;
  }

  /** Resolves when the message's effect is durable. @throws when the stream breaks its own rules */
  async take(message: FollowResponse): Promise<void> {
    const { event } = message;
    switch (event.case) {
      case "snapshotBegin":
        this.#snapshot = { history: event.value.history, revision: event.value.revision, items: [] };
        return;
      case "snapshotItems":
        this.#open("items").items.push(...event.value.items);
        return;
      case "snapshotEnd": {
        const { history, revision, items } = this.#open("an end");
        if (event.value.revision !== revision)
          throw new Error(`central began a snapshot of revision ${revision} and ended ${event.value.revision}`);
        this.#snapshot = undefined;
        await this.#ports.ledger.applySnapshot({ history, revision }, items);
        return;
      }
      case "delta":
        if (this.#snapshot) throw new Error("central sent a delta inside a snapshot");
        await this.#ports.ledger.applyDelta(event.value.revision, event.value.items);
        return;
      case "recollection":
        await this.#ports.recollect(event.value.entries);
        return;
      case "heartbeat":
        await this.#ports.upToDate();
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
