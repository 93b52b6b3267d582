// The reconciler of one machine, with a BMC that remembers.
import { silentLog } from "#lib/log.ts";
import type { Bmc } from "../../bmc/bmc.ts";
import { exactly } from "../../link/central-time.ts";
import { random, type TestAgent, uuidA } from "../../testing/site.ts";
import { MachineReconciler } from "../reconciler.ts";

/** A BMC that does what it is told, and remembers. */
export function fakeBmc() {
  const told: string[] = [];
  const state = { power: "on" as "on" | "off", broken: undefined as Error | undefined, mute: false };
  const check = () => {
    if (state.broken) throw state.broken;
  };
  const bmc: Bmc = {
    describe: () => Promise.reject(new Error("not asked here")),
    async powerState() {
      check();
      return state.power;
    },
    async power(action) {
      check();
      told.push(action);
      state.power = action === "off" ? "off" : "on";
      if (state.mute) await new Promise(() => {});
    },
    async setBootDevice({ device, persistent, efi }) {
      check();
      told.push(`${device}${persistent ? " for good" : ""}${efi ? " efi" : ""}`);
    },
    bootDevice: () => Promise.reject(new Error("not asked here")),
    async identify() {},
  };
  return { bmc, told, state };
}

export function reconcilerOf(agent: TestAgent, bmc: Bmc | undefined) {
  const reconciler = new MachineReconciler({
    site: agent.site,
    files: agent.files,
    bmcOf: () => bmc,
    ports: { locate: async () => ({ kind: "unmanaged" }), move: async () => {} },
    localOrders: () => [],
    centralTime: () => exactly(agent.clock.wallMs()),
    newMachines: "power on",
    listeningSinceMs: agent.clock.wallMs(),
    clock: agent.clock,
    random,
    log: silentLog,
  });
  const run = () => reconciler.reconcile(uuidA, new AbortController().signal);
  return { reconciler, run };
}
