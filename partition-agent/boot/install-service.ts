// holdfast.install.v1.InstallService: what our installer asks and tells beyond metal-stack's services.
import { create } from "@bufbuild/protobuf";
import type { ServiceImpl } from "@connectrpc/connect";
import { hearSign } from "#domain/machine/hear.ts";
import { allocationToInstall, keepsDisks, reinstallProgress } from "#domain/machine/reinstall.ts";
import { homePlan, unreadableDestinations } from "#domain/network/home-plan.ts";
import { DutyResponseSchema, type InstallService } from "#gen/holdfast/install/v1/install_pb.ts";
import { DiskIdentitySchema, type InstallStep, MachineProgressSchema } from "#gen/holdfast/state/v1/machine_pb.ts";
import { copyOf } from "#lib/message.ts";
import { Refusal } from "#lib/refusal.ts";
import type { BootFiles } from "./boot-files.ts";
import { callerOf, inSession, noteInSession } from "./caller.ts";
import { dutyOf, noteOverwrite } from "./duty.ts";
import { desiredOf, partitionOf, type Site } from "./site.ts";

const stepsMax = 64;
/** Characters of a step's name, and of what it says. */
const nameMax = 64;
const textMax = 1024;

export function installService(site: Site, files: BootFiles): ServiceImpl<typeof InstallService> {
  return {
    async duty({ uuid }, context) {
      await inSession(site, context, uuid);
      let duty = create(DutyResponseSchema);
      await noteInSession(site, context, uuid, (m) => {
        const desired = desiredOf(site, uuid);
        duty = dutyOf({ desired, observed: m, safeMode: site.safeMode.why });
        if (duty.duty.case === "reinstall") m.reinstall = { ...reinstallProgress(desired, m), toldBoot: m.boot };
        hearSign(m, site.clock.wallMs());
      });
      return duty;
    },

    async beginOverwrite({ uuid, number }, context) {
      await noteInSession(site, context, uuid, (m) => {
        noteOverwrite(m, desiredOf(site, uuid), number);
        hearSign(m, site.clock.wallMs());
      });
      return {};
    },

    async plan({ uuid }, context) {
      const { mac } = await callerOf(site, context);
      await inSession(site, context, uuid);
      const desired = desiredOf(site, uuid);
      const allocation = desired && allocationToInstall(desired);
      if (!desired || !allocation?.image) {
        throw new Refusal("precondition", `machine ${uuid} has no allocation`, { reason: "NOT_ALLOCATED" });
      }
      const { token, digest } = await site.tokens.forHome({ uuid, epoch: desired.epoch });
      await noteInSession(site, context, uuid, (m) => {
        m.workedEpoch = desired.epoch;
        m.homeTokenSha256 = digest;
        hearSign(m, site.clock.wallMs());
      });
      const destinations = unreadableDestinations(allocation);
      if (destinations.length > 0) site.log.warn("destinations-left-out", { machine: uuid, destinations });
      const image = await files.image(allocation.image.url);
      const partition = partitionOf(site);
      return {
        epoch: desired.epoch,
        imageUrl: files.url(image),
        imageSha256: image.sha256,
        imageBytes: BigInt(image.sizeBytes),
        imageSeal: await files.seal(image),
        phoneHomeUrl: `${site.url}/phone-home?token=${token}`,
        authorizedKeysUrl: `${site.url}/authorized-keys?token=${token}`,
        interfaces: homePlan(allocation, mac),
        dnsServers: (allocation.dnsServers.length > 0 ? allocation.dnsServers : (partition?.dnsServers ?? [])).map(
          (d) => d.ip,
        ),
        ntpServers: (allocation.ntpServers.length > 0 ? allocation.ntpServers : (partition?.ntpServers ?? [])).map(
          (n) => n.address,
        ),
        kernelCommandline: consoleArguments(partition?.bootConfiguration?.commandline ?? ""),
      };
    },

    async reportStep({ uuid, steps }, context) {
      await noteInSession(site, context, uuid, (m) => {
        m.progress ??= create(MachineProgressSchema);
        m.progress.steps = steps.reduce(withStep, m.progress.steps);
        const failed = steps.findLast((s) => s.error !== "");
        if (failed) m.lastFailure = `${failed.name}: ${failed.error}`.slice(0, textMax);
        hearSign(m, site.clock.wallMs());
      });
      return {};
    },

    async reportWipe({ uuid, disks }, context) {
      const broken = disks.filter((d) => d.error !== "");
      const epoch = desiredOf(site, uuid)?.epoch ?? 0n;
      await noteInSession(site, context, uuid, (m) => {
        if (keepsDisks(desiredOf(site, uuid), m)) throw keptDisks(uuid);
        hearSign(m, site.clock.wallMs());
        m.disks = disks.map(({ device, serial, sizeBytes }) =>
          create(DiskIdentitySchema, { device, serial, sizeBytes }),
        );
        if (broken.length > 0) {
          m.wipedEpoch = 0n;
          m.lastFailure = `wipe: ${broken.map((d) => `${d.device}: ${d.error}`).join("; ")}`.slice(0, textMax);
          return;
        }
        // 0 means "never"; a machine that central does not know yet is at epoch 0 and wiped all the same.
        m.wipedEpoch = epoch === 0n ? 1n : epoch;
        m.lastFailure = "";
      });
      return {};
    },
  };
}

const keptDisks = (uuid: string) =>
  new Refusal("precondition", `machine ${uuid}: its disks hold its tenant's data and were to be kept`, {
    reason: "KEEPS_DISKS",
  });

/** The latest report of a step wins; a step keeps its place. */
function withStep(steps: readonly InstallStep[], step: InstallStep): InstallStep[] {
  const next = copyOf(step);
  next.name = step.name.slice(0, nameMax);
  next.detail = step.detail.slice(0, textMax);
  next.error = step.error.slice(0, textMax);
  const at = steps.findIndex((s) => s.name === next.name);
  if (at < 0) return [...steps, next].slice(-stepsMax);
  if (next.startedAt === undefined && steps[at]?.startedAt) next.startedAt = steps[at].startedAt;
  return steps.with(at, next);
}

/** What of the installer's command line the installed system keeps: where it talks to people. */
const consoleArguments = (commandline: string): string =>
  commandline
    .split(/\s+/)
    .filter((word) => /^(console=|net\.ifnames=|quiet$)/.test(word))
    .join(" ");
