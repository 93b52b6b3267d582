import type { SwitchDriver, SwitchEdit, SwitchState } from "#agent/switch/switch.ts";
import { parseMac } from "#lib/net/mac.ts";
import { checked } from "#lib/result.ts";
import type { Seeded } from "#lib/seeded.ts";
import type { Life } from "./life.ts";

export interface SwitchFaults {
  /** Probability that one call finds the switch out of reach. */
  readonly unreachable: number;
  /** Probability that an edit is carried out and answered with an error. */
  readonly errorButApplied: number;
}

const portMac = checked(parseMac("02:00:00:00:00:01"));

/** A leaf switch: networks, and ports that are each in one of them. It outlives whoever drives it. */
export class SimSwitch {
  readonly id: string;
  readonly #random: Seeded;
  readonly #networks = new Map<string, Set<string>>([["prov", new Set()]]);
  readonly #ports = new Map<string, string>();
  readonly #off = new Set<string>();
  readonly #learned: (port: string) => string | undefined;
  faults: SwitchFaults = { unreachable: 0, errorButApplied: 0 };

  /** @param learned MAC of whoever is on behind the port */
  constructor(id: string, random: Seeded, ports: readonly string[], learned: (port: string) => string | undefined) {
    this.id = id;
    this.#random = random;
    this.#learned = learned;
    for (const port of ports) this.#ports.set(port, "prov");
  }

  networkOf(port: string): string {
    return this.#ports.get(port) ?? "";
  }

  driver(life: Life): SwitchDriver {
    const reached = async () => {
      life.waits();
      await life.after(this.#random.between(20, 400));
      if (this.#random.chance(this.faults.unreachable)) throw new Error(`switch ${this.id}: no route to host`);
    };
    return {
      read: async () => {
        await reached();
        return this.#state();
      },
      apply: async (edits) => {
        await reached();
        for (const edit of edits) {
          this.#carryOut(edit);
          if (this.#random.chance(this.faults.errorButApplied)) throw new Error(`switch ${this.id}: commit timed out`);
        }
        await life.after(20);
      },
    };
  }

  #state(): SwitchState {
    return {
      id: this.id,
      ports: [...this.#ports].map(([name, network]) => {
        const mac = parseMac(this.#learned(name) ?? "");
        return {
          name,
          network,
          enabled: !this.#off.has(name),
          up: mac.ok,
          mac: portMac,
          learnedMacs: mac.ok ? [mac.value] : [],
        };
      }),
      networks: [...this.#networks].map(([name, gateways]) => ({ name, gateways: [...gateways] })),
    };
  }

  #carryOut(edit: SwitchEdit): void {
    switch (edit.kind) {
      case "create-network":
        this.#networks.set(edit.network, this.#networks.get(edit.network) ?? new Set());
        return;
      case "remove-network":
        this.#networks.delete(edit.network);
        return;
      case "add-gateway":
        this.#networks.get(edit.network)?.add(edit.gateway);
        return;
      case "remove-gateway":
        this.#networks.get(edit.network)?.delete(edit.gateway);
        return;
      case "move-port":
        this.#ports.set(edit.port, edit.network);
        return;
      case "enable-port":
        this.#off.delete(edit.port);
        return;
      case "disable-port":
        this.#off.add(edit.port);
        return;
    }
  }
}
