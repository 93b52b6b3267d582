import type { ReportEntry } from "#gen/holdfast/sync/v1/sync_pb.ts";
import type { IpsByMachine } from "./settle.ts";

/** Whose report it is, and when it came. */
export interface Teller {
  readonly partition: string;
  readonly nowMs: number;
  readonly byMachine: IpsByMachine;
}

/** What came of one entry of a report. */
export interface Took {
  /** Why the entry will never be taken; absent when it was. */
  readonly rejected?: string;
  /** The machine's release has more addresses to give back than one transaction may. */
  readonly isUnsettled?: boolean;
}

/** Of what an agent says, so much is repeated. */
export const shownMax = 64;

export const entryName = ({ kind, id }: ReportEntry): string => `${kind} ${id.slice(0, shownMax)}`;

export const unreadable = (entry: ReportEntry): Took => ({
  rejected: `${entryName(entry)}: the report cannot be read`,
});
