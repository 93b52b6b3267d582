import type { BootClient, Catalog, HostAnswer } from "#pxe-boot/catalog.ts";
import type { Firmware } from "./boot-token.ts";
import type { Site } from "./site.ts";

/** Who boots here: everybody. A server that nobody knows gets the discovery boot, which is how it becomes known. */
export function bootCatalog(site: Site): Catalog {
  return {
    host({ mac, uuid, architecture }: BootClient): HostAnswer {
      if (mac === undefined) return { kind: "silent", why: "the client shows no MAC address" };
      const machine = site.observations.byMac(mac);
      const query = new URLSearchParams({
        mac,
        ...(uuid !== undefined && { uuid }),
        firmware: firmwareOf(architecture),
      });
      const hostname = machine && `machine-${machine.uuid.slice(0, 8)}`;
      return { kind: "serve", hostname, scriptUrl: `${site.url}/boot.ipxe?${query}` };
    },
    isReserved: () => false,
  };
}

/** Architectures 0 and 20 are a PC with BIOS (RFC 5970 §3.3, registry); all others that boot here are UEFI. */
const firmwareOf = (architecture: number | undefined): Firmware =>
  architecture === 0 || architecture === 20 ? "pcbios" : "efi";
