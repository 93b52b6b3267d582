// Which iPXE script a booting machine gets. Handing out the installer's script begins a new boot and ends the former one.
import { create } from "@bufbuild/protobuf";
import { bootTarget } from "#domain/machine/boot-target.ts";
import { MachineProgressSchema } from "#gen/holdfast/state/v1/machine_pb.ts";
import { MachineProvisioningEventType as Event } from "#gen/metalstack/api/v2/machine_pb.ts";
import type { Mac } from "#lib/net/mac.ts";
import type { Random } from "#lib/random.ts";
import { Refusal } from "#lib/refusal.ts";
import { hear } from "../machine/hear.ts";
import type { BootFiles } from "./boot-files.ts";
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
  client: { readonly mac: Mac; readonly uuid: string | undefined },
): Promise<BootScript> {
  const machine = site.observations.byMac(client.mac) ?? (client.uuid ? site.observations.get(client.uuid) : undefined);
  if (machine && bootTarget(desiredOf(site, machine.uuid), machine) === "disk") return { kind: "disk" };
  try {
    const { kernel, initrd } = files.ready();
    const boot = random.uuid();
    if (machine) await beginBoot(site, machine.uuid, boot);
    const token = await site.tokens.forBoot({ mac: client.mac, uuid: machine?.uuid, boot });
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

async function beginBoot(site: Site, uuid: string, boot: string): Promise<void> {
  await site.observations.update(uuid, (m) => {
    hear(m, Event.PXE_BOOTING, "", site.clock.wallMs());
    m.boot = boot;
    m.workedEpoch = 0n;
    m.waiting = false;
    m.progress ??= create(MachineProgressSchema);
    m.progress.steps = [];
  });
}
