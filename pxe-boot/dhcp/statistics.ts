import type { Counts } from "../tally.ts";
import type { SilenceReason } from "./answer.ts";
import type { MessageType } from "./message.ts";

/** Since the start of the server. */
export interface DhcpStatistics {
  readonly received: Counts<MessageType | "other">;
  readonly sent: Counts<"offer" | "ack" | "nak">;
  readonly silent: Counts<SilenceReason>;
  /** Datagrams that are no DHCP message */
  readonly malformed: number;
  /** Dropped unread, because too many ACKs were waiting for the disk */
  readonly overload: number;
  /** ACKs that were not sent because their lease could not be stored */
  readonly saveFailures: number;
  readonly sendFailures: number;
  /** Exceptions in answering: a defect of this program */
  readonly failures: number;
  /** Addresses with a lease of any state */
  readonly leases: number;
}
