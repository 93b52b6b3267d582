import type { ReportEntry } from "#gen/holdfast/sync/v1/sync_pb.ts";
import type { Tx } from "../store/tx.ts";
import type { IpsByMachine } from "./settle.ts";

/** Whose report it is, and when it came. */
export interface Teller {
  readonly partition: string;
  readonly nowMs: number;
  readonly byMachine: IpsByMachine;
}

/** What came of one entry of a report. */
export interface Took {
  /** Why the entry is not taken; absent when it was. */
  readonly rejected?: string;
  /** This central is too old for the entry; any other reason holds for ever. */
  readonly isUnknownKind?: boolean;
  /** The machine's release has more addresses to give back than one transaction may. */
  readonly isUnsettled?: boolean;
}

/** Takes one fact that a partition's agent saw. */
export type Taker = (tx: Tx, entry: ReportEntry, from: Teller) => Took;

/** By the kind of what they take. */
export type Takers = Readonly<Record<string, Taker>>;

/** Of what an agent says, so much is repeated. */
export const shownMax = 64;

export const entryName = ({ kind, id }: ReportEntry): string => `${kind} ${id.slice(0, shownMax)}`;

export const unreadable = (entry: ReportEntry): Took => ({
  rejected: `${entryName(entry)}: the report cannot be read`,
});
