import type { Mac } from "#lib/net/mac.ts";
import type { BootDevice, BootOrder, PowerAction } from "./commands.ts";
import type { ConsoleOptions, ServerConsole } from "./serial-console.ts";

export interface BmcDescription {
  /** The server's UUID, as SMBIOS type 1 shows it to the operating system. */
  readonly guid: string;
  /** Of the BMC: `9.08` */
  readonly firmware: string;
  readonly manufacturerId: number;
  readonly manufacturer: string;
  readonly productId: number;
  readonly ipmiVersion: string;
  /** Of the BMC's own network port; absent when it does not tell. */
  readonly mac: Mac | undefined;
}

export interface BootSetting {
  /** `none`: the firmware's own order. `other`: something that this client never sets. */
  readonly device: BootDevice | "other";
  readonly persistent: boolean;
  readonly efi: boolean;
}

/**
 * One server's board management controller. Calls run one after the other, whoever asks.
 * @throws BmcUnreachable, BmcRefused, BadPassword, BmcMisbehaved; the signal's reason when it is aborted
 */
export interface Bmc {
  describe(signal?: AbortSignal): Promise<BmcDescription>;
  powerState(signal?: AbortSignal): Promise<"on" | "off">;
  /**
   * Sent only when the server is not yet in the wished state. `cycle` switches on what is off; `soft` asks the operating
   * system to shut down; `reset` of a server that is off is refused by its BMC. Returns when the BMC has accepted:
   * whether the server obeys is seen in `powerState`.
   */
  power(action: PowerAction, signal?: AbortSignal): Promise<void>;
  setBootDevice(order: BootOrder, signal?: AbortSignal): Promise<void>;
  bootDevice(signal?: AbortSignal): Promise<BootSetting>;
  /** The light that shows people where the server is. */
  identify(state: "on" | "off", signal?: AbortSignal): Promise<void>;
  /** The server's serial console, beside all else; whoever opens it closes it. Absent where there is none. */
  openConsole?(options: ConsoleOptions, signal?: AbortSignal): Promise<ServerConsole>;
}
