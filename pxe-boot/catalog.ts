import type { Ipv4 } from "#lib/net/ipv4.ts";
import type { Mac } from "#lib/net/mac.ts";

/** Who is asking, as far as its DHCP request tells. */
export interface BootClient {
  /** Absent only for hardware that sends no address in `chaddr` (RFC 4390) and no Ethernet client identifier. */
  readonly mac: Mac | undefined;
  /** SMBIOS UUID in its text form (option 97). Evidence, not identity: a client can send any. */
  readonly uuid: string | undefined;
  /** Client architecture, RFC 4578 §2.1; absent when the client does not ask to boot. */
  readonly architecture: number | undefined;
  /** iPXE is asking: it takes a script. */
  readonly isIpxe: boolean;
  /** Name of the subnet that the request belongs to. */
  readonly subnet: string;
  readonly relay: RelayOfClient | undefined;
}

/** Where a relay saw the client (RFC 3046). */
export interface RelayOfClient {
  readonly address: Ipv4;
  readonly circuitId: Uint8Array | undefined;
  readonly remoteId: Uint8Array | undefined;
}

export type HostAnswer =
  | {
      readonly kind: "serve";
      /** Reservation; goes before every other address. Ignored where it is not in the client's subnet. */
      readonly address?: Ipv4 | undefined;
      readonly hostname?: string | undefined;
      /** What iPXE runs next; without it an iPXE gets an address and nothing to boot. */
      readonly scriptUrl?: string | undefined;
    }
  | { readonly kind: "silent"; readonly why: string };

/** What the boot server asks its owner. Both answer at once, from memory, and never throw. */
export interface Catalog {
  host(client: BootClient): HostAnswer;
  /** Whether an address is reserved for some host, so that it is given to no other. */
  isReserved(address: Ipv4): boolean;
}
