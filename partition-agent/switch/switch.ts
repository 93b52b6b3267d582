import type { Mac } from "#lib/net/mac.ts";

/** What a switch shows right now. */
export interface SwitchState {
  readonly id: string;
  readonly ports: readonly SwitchPort[];
  readonly networks: readonly SwitchNetwork[];
}

export interface SwitchPort {
  readonly name: string;
  /** Name of the network that it is a member of; undefined when of none. */
  readonly network: string | undefined;
  /** Whether it is switched on. */
  readonly enabled: boolean;
  /** Whether it has a link to whatever is plugged in. */
  readonly up: boolean;
  /** The port's own. */
  readonly mac: Mac;
  /** Senders seen behind the port lately, at most 64; never the port's own address. */
  readonly learnedMacs: readonly Mac[];
}

export interface SwitchNetwork {
  readonly name: string;
  /** Addresses of the switch in it, with prefix length, canonical: `10.1.0.1/24`, `fd00::1/64`. */
  readonly gateways: readonly string[];
}

/** One step, absolute: carrying it out twice is harmless. */
export type SwitchEdit =
  | { readonly kind: "create-network"; readonly network: string }
  | { readonly kind: "remove-network"; readonly network: string }
  | { readonly kind: "add-gateway"; readonly network: string; readonly gateway: string }
  | { readonly kind: "remove-gateway"; readonly network: string; readonly gateway: string }
  | { readonly kind: "move-port"; readonly port: string; readonly network: string }
  | { readonly kind: "enable-port"; readonly port: string }
  | { readonly kind: "disable-port"; readonly port: string };

export interface SwitchDriver {
  read(signal: AbortSignal): Promise<SwitchState>;
  /**
   * Carries the edits out in their order, and reads back. Resolves only when the switch shows all of them.
   * @throws with the switch, the step and the switch's own words; the steps before it have been carried out
   */
  apply(edits: readonly SwitchEdit[], signal: AbortSignal): Promise<void>;
}

export interface DesiredPort {
  readonly name: string;
  /** Absent: it stays where it is. */
  readonly network?: string;
  /** Absent: it stays on or off. */
  readonly enabled?: boolean;
}

/** What a switch shall look like, as far as somebody has said so: what is not named here is not touched. */
export interface DesiredSwitch {
  readonly ports: readonly DesiredPort[];
  /** Shall exist, with these gateways and no others. */
  readonly networks: readonly SwitchNetwork[];
  /** Names of networks that shall not exist: each goes once no port is in it. */
  readonly removed?: readonly string[];
}

/** Name of a tenant's network on the switch. @param vrf 1 to 16777215 */
export const tenantNetwork = (vrf: number): string => `hf${vrf}`;

/** The number in a tenant network's name; undefined when the network is not ours. */
export function vrfOfNetwork(name: string): number | undefined {
  const digits = /^hf([1-9]\d{0,7})$/.exec(name)?.[1];
  const vrf = Number(digits);
  return vrf <= 0xffffff ? vrf : undefined;
}
