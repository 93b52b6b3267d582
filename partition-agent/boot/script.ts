// Which iPXE script a booting machine gets. Handing out the installer's script begins a new boot and ends the former one.
import { bootTarget } from "#domain/machine/boot-target.ts";
import type { Mac } from "#lib/net/mac.ts";
import type { Random } from "#lib/random.ts";
import { Refusal } from "#lib/refusal.ts";
import { lostRecord } from "../machine/lost-record.ts";
import { beginBoot, bootId } from "./begin-boot.ts";
import type { BootFiles } from "./boot-files.ts";
import type { Firmware } from "./boot-token.ts";
import { desiredOf, partitionOf, type Site } from "./site.ts";

export type BootScript =
  | { readonly kind: "disk" }
  | { readonly kind: "installer"; readonly kernelUrl: string; readonly initrdUrl: string; readonly commandline: string }
  | { readonly kind: "later"; readonly why: string };

/**
 * @param client the MAC that boots, and the SMBIOS UUID that its firmware shows, where it does
 */
export async function bootScript(
  site: Site,
  files: BootFiles,
  random: Random,
  client: { readonly mac: Mac; readonly uuid: string | undefined; readonly firmware?: Firmware | undefined },
): Promise<BootScript> {
  const byMac = site.observations.byMac(client.mac);
  const byUuid = client.uuid === undefined ? undefined : site.observations.get(client.uuid);
  if (byMac && byUuid && byMac.uuid !== byUuid.uuid) return await knownTwice(site, client.mac, byMac.uuid, byUuid.uuid);
  const machine = byMac ?? byUuid;
  const { uuid } = machine ?? {};
  const desired = uuid === undefined ? undefined : desiredOf(site, uuid);
  const lost = lostRecord(desired, machine);
  if (lost !== undefined) return { kind: "later", why: `waiting for ${lost}` };
  if (machine && bootTarget(desired, machine) === "disk") return { kind: "disk" };
  if (site.safeMode.why !== undefined) return { kind: "later", why: `waiting for ${site.safeMode.why}` };
  try {
    const { kernel, initrd } = await files.ready();
    const boot = { boot: bootId(site.clock.wallMs(), random), firmware: client.firmware };
    if (uuid !== undefined) await beginBoot(site, uuid, boot);
    const token = await site.tokens.forBoot({ mac: client.mac, uuid, ...boot });
    const configured = partitionOf(site)?.bootConfiguration?.commandline ?? "";
    return {
      kind: "installer",
      kernelUrl: files.url(kernel),
      initrdUrl: files.url(initrd),
      commandline:
        `${configured} holdfast.url=${site.url} holdfast.token=${token} holdfast.mac=${client.mac} holdfast.partition=${site.partition}`.trim(),
    };
  } catch (error) {
    if (error instanceof Refusal) return { kind: "later", why: error.message };
    throw error;
  }
}

/** Either could be meant, so neither is started: one may be somebody's, and the installer wipes. */
async function knownTwice(site: Site, mac: Mac, owner: string, booting: string): Promise<BootScript> {
  const why = `MAC ${mac} is already machine ${owner}'s; ${booting} boots by it, too`;
  await site.observations.update(booting, (m) => {
    m.lastFailure = why;
  });
  return { kind: "later", why };
}
