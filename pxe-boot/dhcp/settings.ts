import type { Ipv4 } from "#lib/net/ipv4.ts";

/** What a DHCP server knows of itself. */
export interface ServerSettings {
  /** Server identifier, TFTP server and source of every reply; may be a virtual address */
  readonly address: Ipv4;
  /** How long an offered address is kept for its client. EDK2 takes 4 s between OFFER and REQUEST. */
  readonly offerMs: number;
  /** How long an address rests after a client found somebody else on it. */
  readonly declineMs: number;
  /** URL of the boot files' folder for UEFI HTTP Boot, with an IP address (firmware has no DNS) and `/` at its end */
  readonly httpBase?: string | undefined;
  /** By architecture; go before the built-in table */
  readonly bootFiles?: ReadonlyMap<number, string> | undefined;
}

export const defaultOfferMs = 60_000;
export const defaultDeclineMs = 600_000;
