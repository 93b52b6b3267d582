import type { Bmc, BootSetting } from "#agent/bmc/bmc.ts";
import type { PowerAction } from "#agent/bmc/commands.ts";
import type { Seeded } from "#lib/seeded.ts";
import type { Life } from "./life.ts";

/** What a BMC may do wrong; each a probability per call. */
export interface BmcQuirks {
  /** Does not answer at all. */
  readonly dead: number;
  /** Answers, ten seconds later. */
  readonly slow: number;
  /** Says yes and does nothing. */
  readonly idle: number;
  /** Tells the power state that was before. */
  readonly lying: number;
  /** Refuses because all of its sessions are taken. */
  readonly full: number;
}

export const honest: BmcQuirks = { dead: 0, slow: 0, idle: 0, lying: 0, full: 0 };

/** The server that a BMC is for. */
export interface Chassis {
  readonly uuid: string;
  readonly power: "on" | "off";
  boot: BootSetting;
  switchTo(action: PowerAction): void;
}

const timeOutMs = 15_000;

/** Who looks on. */
export interface BmcWitness {
  /** Told of every request, before its answer. */
  readonly onRequest: () => void;
  /** Told when it answers. */
  readonly onSaid: () => void;
  readonly onClose: () => void;
}

/** A BMC as one life of the agent talks to it. What has reached it happens, whether or not somebody waits for the answer. */
export function simBmc(
  chassis: Chassis,
  life: Life,
  random: Seeded,
  quirks: () => BmcQuirks,
  witness: BmcWitness,
): Bmc & { close(): Promise<void> } {
  let before = chassis.power;
  const asked = async () => {
    witness.onRequest();
    const { dead, slow, full } = quirks();
    if (random.chance(dead)) {
      await life.after(timeOutMs);
      throw new Error(`the BMC does not answer within ${timeOutMs} ms`);
    }
    life.waits();
    await life.after(random.chance(slow) ? 10_000 : random.between(20, 200));
    if (random.chance(full)) throw new Error("the BMC refused: no session is free");
    witness.onSaid();
  };
  const done = () => life.after(random.between(5, 50));
  return {
    async describe() {
      await asked();
      const facts = { firmware: "1.0", manufacturerId: 0, manufacturer: "sim", productId: 0, ipmiVersion: "2.0" };
      return { guid: chassis.uuid, ...facts, mac: undefined };
    },
    async powerState() {
      await asked();
      const said = random.chance(quirks().lying) ? before : chassis.power;
      before = chassis.power;
      return said;
    },
    async power(action) {
      await asked();
      if (action === "reset" && chassis.power === "off") throw new Error("the BMC refused: the server is off");
      if (!random.chance(quirks().idle)) chassis.switchTo(action);
      await done();
    },
    async setBootDevice({ device, persistent, efi }) {
      await asked();
      if (!random.chance(quirks().idle)) chassis.boot = { device, persistent, efi };
      await done();
    },
    async bootDevice() {
      await asked();
      return chassis.boot;
    },
    async identify() {
      await asked();
    },
    async openConsole() {
      await asked();
      return {
        async *output() {
          yield new TextEncoder().encode("login: ");
        },
        write: async () => {},
        sendBreak: async () => {},
        close: async () => {},
      };
    },
    async close() {
      witness.onClose();
    },
  };
}
