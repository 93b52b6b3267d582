import type { Terms } from "./terms.ts";

// One transfer to a client as a state machine without time, files or sockets. Blocks are numbered 1, 2, 3 … without end; only
// on the wire they wrap at 65536 (which is why an acknowledgement is read relative to what was acknowledged before).

export interface Transfer {
  readonly terms: Terms;
  /** The last block, which is shorter than the others and may be empty */
  readonly lastBlock: number;
  /** The option acknowledgement is out and not answered yet. */
  readonly isGreeting: boolean;
  /** All blocks up to this one have arrived. */
  readonly acked: number;
  /** All blocks up to this one were sent at least once. */
  readonly sent: number;
  /** Time-outs in a row */
  readonly retries: number;
  /** A repeated acknowledgement has already made us send this window again. */
  readonly hasRepeated: boolean;
  readonly deadlineMs: number;
}

/** What to send now: the agreed options, or the blocks `from` to `to`, both included. */
export type Sending =
  | { readonly kind: "agreed" }
  | { readonly kind: "blocks"; readonly from: number; readonly to: number };

export type Step =
  | { readonly kind: "go-on"; readonly transfer: Transfer; readonly send: Sending | undefined }
  | { readonly kind: "ended"; readonly how: "done" | "timeout" };

export const retriesMax = 6;

export function beginTransfer(terms: Terms, sizeBytes: number, nowMs: number): Step {
  const transfer: Transfer = {
    terms,
    lastBlock: Math.floor(sizeBytes / terms.blockBytes) + 1,
    isGreeting: terms.agreed !== undefined,
    acked: 0,
    sent: 0,
    retries: 0,
    hasRepeated: false,
    deadlineMs: 0,
  };
  return transfer.isGreeting ? greet(transfer, nowMs) : sendWindow(transfer, nowMs);
}

/** @param block as it came, 0 to 65535 */
export function onAck(transfer: Transfer, block: number, nowMs: number): Step {
  if (transfer.isGreeting) {
    return block === 0 ? sendWindow({ ...transfer, isGreeting: false }, nowMs) : keep(transfer);
  }
  const ahead = (block - transfer.acked) & 0xffff;
  if (ahead > transfer.sent - transfer.acked) return keep(transfer);
  if (ahead === 0) return onRepeatedAck(transfer, nowMs);
  const acked = transfer.acked + ahead;
  if (acked === transfer.lastBlock) return { kind: "ended", how: "done" };
  return sendWindow({ ...transfer, acked, retries: 0, hasRepeated: false }, nowMs);
}

/**
 * With windows, a repeated acknowledgement says that the first block of the window was lost: it is sent again, once. Without,
 * it is ignored, or every block after it would be sent twice (RFC 1123 §4.2.3.1, the sorcerer's apprentice).
 */
function onRepeatedAck(transfer: Transfer, nowMs: number): Step {
  if (transfer.terms.windowBlocks === 1 || transfer.hasRepeated) return keep(transfer);
  return sendWindow({ ...transfer, hasRepeated: true }, nowMs);
}

export function onTime(transfer: Transfer, nowMs: number): Step {
  if (nowMs < transfer.deadlineMs) return keep(transfer);
  if (transfer.retries >= retriesMax) return { kind: "ended", how: "timeout" };
  const again = { ...transfer, retries: transfer.retries + 1 };
  return again.isGreeting ? greet(again, nowMs) : sendWindow(again, nowMs);
}

/** The bytes of a block within the file. */
export const blockStart = ({ terms }: Transfer, block: number): number => (block - 1) * terms.blockBytes;

const keep = (transfer: Transfer): Step => ({ kind: "go-on", transfer, send: undefined });

const greet = (transfer: Transfer, nowMs: number): Step => ({
  kind: "go-on",
  transfer: { ...transfer, deadlineMs: nowMs + patienceMs(transfer) },
  send: { kind: "agreed" },
});

function sendWindow(transfer: Transfer, nowMs: number): Step {
  const from = transfer.acked + 1;
  const to = Math.min(transfer.lastBlock, transfer.acked + transfer.terms.windowBlocks);
  const sent = Math.max(transfer.sent, to);
  return {
    kind: "go-on",
    transfer: { ...transfer, sent, deadlineMs: nowMs + patienceMs(transfer) },
    send: { kind: "blocks", from, to },
  };
}

/** Doubles twice, so that a congested segment gets room, and no further: firmware gives up after some seconds. */
const patienceMs = ({ terms, retries }: Transfer): number => terms.timeoutMs * 2 ** Math.min(retries, 2);
