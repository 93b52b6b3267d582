// Which lives of this agent have reported, so that central finds the one that it heard last among them. If it does not, or if that one is
// said to have ended before what it reported, the disk was set back.
// Invariant: a life is on the disk before it reports.
import { create, fromBinary, toBinary } from "@bufbuild/protobuf";
import { type FormerLife, FormerLifeSchema } from "#gen/holdfast/sync/v1/sync_pb.ts";
import type { Change, Disk } from "#lib/disk.ts";
import type { Log } from "#lib/log.ts";

const table = "lives";
/** Central's store may be restored, and have heard an earlier one last. */
export const livesMax = 32;
const keyDigits = 12;

interface LivesPorts {
  readonly disk: Disk;
  /** Identity of the present life. */
  readonly present: string;
  readonly log: Log;
}

export class Lives {
  readonly present: string;
  /** Oldest first. */
  readonly former: readonly FormerLife[];
  readonly #disk: Disk;
  readonly #surplus: readonly string[];
  readonly #key: string;
  #isKept = false;

  private constructor({ disk, present }: LivesPorts, rows: readonly (readonly [string, FormerLife])[]) {
    this.present = present;
    this.former = rows.map(([, life]) => life);
    this.#disk = disk;
    this.#surplus = rows.slice(0, Math.max(0, rows.length + 1 - livesMax)).map(([key]) => key);
    this.#key = keyOf(Number(rows.at(-1)?.[0] ?? 0) + 1);
  }

  /**
   * To be opened before the present life puts anything into the outbox.
   * @param sequence the highest that the outbox has used: the life that kept itself last ended with it
   */
  static async open(ports: LivesPorts, sequence: bigint): Promise<Lives> {
    const { disk, log } = ports;
    const rows = [...disk.entries(table)].flatMap(([key, bytes]): (readonly [string, FormerLife])[] => {
      try {
        return [[key, fromBinary(FormerLifeSchema, bytes)]];
      } catch (error) {
        log.error("life-damaged", { key, error });
        return [];
      }
    });
    const [key, last] = rows.at(-1) ?? [];
    if (key !== undefined && last?.sequence === 0n) {
      last.sequence = sequence;
      await disk.write([row(key, last)]);
    }
    return new Lives(ports, rows);
  }

  /** The present life is about to report. Resolves when the next ones will know of it. */
  async keep(): Promise<void> {
    if (this.#isKept) return;
    await this.#disk.write([
      row(this.#key, create(FormerLifeSchema, { agent: this.present })),
      ...this.#surplus.map((key): Change => ({ table, key, value: undefined })),
    ]);
    this.#isKept = true;
  }
}

const keyOf = (number: number): string => `${number}`.padStart(keyDigits, "0");

const row = (key: string, life: FormerLife): Change => ({ table, key, value: toBinary(FormerLifeSchema, life) });
