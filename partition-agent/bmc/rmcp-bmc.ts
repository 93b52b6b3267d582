import type { Clock } from "#lib/clock.ts";
import type { Log } from "#lib/log.ts";
import { Refusal } from "#lib/refusal.ts";
import type { Secret } from "#lib/secret.ts";
import type { Bmc, BmcDescription, BootSetting } from "./bmc.ts";
import { type CipherSuite, cipherSuites } from "./cipher-suite.ts";
import * as commands from "./commands.ts";
import { Connection, type ConnectionLimits, type ConnectionPorts, usualLimits } from "./connection.ts";
import { BmcMisbehaved, BmcRefused } from "./errors.ts";
import { type GuidOrder, isUnset, uuidOfGuid } from "./guid.ts";
import { manufacturerName } from "./manufacturers.ts";
import { type Quirks, quirksOf } from "./quirks.ts";
import { type ConsoleOptions, SerialConsole, type ServerConsole } from "./serial-console.ts";
import type { BmcAddress } from "./transport.ts";

export interface RmcpTarget {
  readonly address: BmcAddress;
  /** At most 16 bytes of UTF-8. */
  readonly user: string;
  /** At most 20 bytes of UTF-8. */
  readonly password: Secret;
  /** Absent: administrator. */
  readonly privilege?: "operator" | "administrator";
  /** Absent: as the quirk table says. */
  readonly guidOrder?: GuidOrder;
  /** Absent: 17, then 3. */
  readonly suites?: readonly CipherSuite[];
}

export interface RmcpOptions {
  /** How long an idle session is kept for the next operation. */
  readonly reuseMs: number;
  /** Operations that may wait behind the running one; one more is refused. */
  readonly waitingMax: number;
  readonly limits: ConnectionLimits;
  /** How often an open console is looked after. */
  readonly consoleAliveMs: number;
}

const usualOptions: RmcpOptions = { consoleAliveMs: 20_000, reuseMs: 5000, waitingMax: 16, limits: usualLimits };

type Run = <T>(command: commands.Command<T>) => Promise<T>;

/**
 * A BMC over RMCP+ (IPMI 2.0 over LAN). Opens a session when it is asked something, keeps it for a few seconds, closes it.
 * @throws Refusal when user or password cannot be used with IPMI
 */
export class RmcpBmc implements Bmc {
  readonly #connection: Connection;
  readonly #connect: (onSerial?: ConnectionPorts["onSerial"]) => Connection;
  readonly #consoles = new Set<SerialConsole>();
  readonly #clock: Clock;
  readonly #log: Log;
  readonly #target: RmcpTarget;
  readonly #options: RmcpOptions;
  readonly #address: string;
  readonly #closing = new AbortController();
  #tail: Promise<void> = Promise.resolve();
  #waiting = 0;
  #idle: { readonly stop: AbortController; readonly done: Promise<void> } | undefined;
  #device: commands.DeviceId | undefined;

  constructor(target: RmcpTarget, ports: ConnectionPorts & { readonly log: Log }, options: Partial<RmcpOptions> = {}) {
    this.#target = target;
    this.#options = { ...usualOptions, ...options };
    this.#clock = ports.clock;
    this.#address = addressText(target.address);
    this.#log = ports.log.child({ bmc: this.#address });
    const login = {
      address: this.#address,
      user: bounded(`user of BMC ${this.#address}`, target.user, 16),
      password: passwordBytes(this.#address, target.password),
      privilege: target.privilege === "operator" ? 3 : 4,
    };
    const suites = target.suites ?? cipherSuites;
    this.#connect = (onSerial) =>
      new Connection(
        { ...ports, ...(onSerial && { onSerial }) },
        { address: target.address, login, suites },
        this.#options.limits,
      );
    this.#connection = this.#connect();
  }

  describe(signal?: AbortSignal): Promise<BmcDescription> {
    return this.#operation(async (run) => {
      const device = await this.#deviceId(run, "anew");
      const guid = await this.#guid(run);
      return {
        guid: uuidOfGuid(guid, this.#target.guidOrder ?? quirksOf(device).guidOrder),
        firmware: device.firmware,
        manufacturerId: device.manufacturerId,
        manufacturer: manufacturerName(device.manufacturerId),
        productId: device.productId,
        ipmiVersion: device.ipmiVersion,
        mac: await unlessRefused(run(commands.getLanMac)),
      };
    }, signal);
  }

  powerState(signal?: AbortSignal): Promise<"on" | "off"> {
    return this.#operation(async (run) => ((await run(commands.getChassisStatus)).isOn ? "on" : "off"), signal);
  }

  power(action: commands.PowerAction, signal?: AbortSignal): Promise<void> {
    return this.#operation(async (run) => {
      const { isOn } = await run(commands.getChassisStatus);
      const wanted = action === "cycle" && !isOn ? "on" : action;
      if ((wanted === "on" && isOn) || ((wanted === "off" || wanted === "soft") && !isOn)) return;
      await run(commands.chassisControl(wanted));
      this.#log.info("bmc-power", { action: wanted });
    }, signal);
  }

  setBootDevice(order: commands.BootOrder, signal?: AbortSignal): Promise<void> {
    return this.#operation(async (run) => {
      // Not every BMC has this parameter, and none needs it that has not.
      await unlessRefused(run(commands.offerBootInfo));
      await run(commands.setBootFlags(order));
      this.#log.info("bmc-boot-device", { ...order });
    }, signal);
  }

  bootDevice(signal?: AbortSignal): Promise<BootSetting> {
    return this.#operation(async (run) => {
      const quirks = await this.#quirks(run);
      const { isValid, device, persistent, efi } = await run(commands.getBootFlags);
      if (!isValid && !quirks.ignoresValidFlag) return { device: "none", persistent: false, efi: false };
      return { device, persistent, efi };
    }, signal);
  }

  identify(state: "on" | "off", signal?: AbortSignal): Promise<void> {
    return this.#operation(async (run) => {
      if (state === "off") return run(commands.chassisIdentify(0));
      try {
        await run(commands.chassisIdentify("on"));
      } catch (error) {
        if (!(error instanceof BmcRefused)) throw error;
        // BMCs of IPMI 1.5 descent know seconds only; 255 is the longest.
        await run(commands.chassisIdentify(255));
      }
    }, signal);
  }

  /** In a session of its own: the console stays open while other things are asked. */
  async openConsole(options: ConsoleOptions, signal?: AbortSignal): Promise<ServerConsole> {
    this.#closing.signal.throwIfAborted();
    const connection = this.#connect((payload) => serial.take(payload));
    const serial: SerialConsole = new SerialConsole({
      connection,
      clock: this.#clock,
      address: this.#address,
      aliveMs: this.#options.consoleAliveMs,
      closed: () => this.#consoles.delete(serial),
    });
    this.#consoles.add(serial);
    return await serial.open(options, signal);
  }

  /** Ends the session, if there is one. What runs or waits is refused. */
  async close(): Promise<void> {
    this.#closing.abort(new Refusal("unavailable", `BMC ${this.#address}: the connection is being closed`));
    await Promise.all([...this.#consoles].map((one) => one.close()));
    this.#idle?.stop.abort();
    await this.#tail;
    await this.#idle?.done;
    await this.#connection.close();
  }

  async #deviceId(run: Run, how: "anew" | "known" = "known"): Promise<commands.DeviceId> {
    if (this.#device === undefined || how === "anew") this.#device = await run(commands.getDeviceId);
    return this.#device;
  }

  async #quirks(run: Run): Promise<Quirks> {
    return quirksOf(await this.#deviceId(run));
  }

  async #guid(run: Run): Promise<Uint8Array> {
    const command = commands.getSystemGuid;
    const told = (await unlessRefused(run(command))) ?? this.#connection.guid ?? new Uint8Array(16);
    if (!isUnset(told)) return told;
    const todo = "set the system UUID at the BMC or in the firmware's settings, for the machine is known by it";
    throw new BmcMisbehaved(this.#address, command.name, `the GUID is empty; ${todo}`);
  }

  /** Runs operations one after the other, in the order in which they were asked for. */
  async #operation<T>(work: (run: Run) => Promise<T>, signal?: AbortSignal): Promise<T> {
    this.#closing.signal.throwIfAborted();
    const { waitingMax } = this.#options;
    if (this.#waiting > waitingMax)
      throw new Refusal("exhausted", `BMC ${this.#address}: ${this.#waiting} operations wait already; ask again later`);
    this.#waiting += 1;
    const before = this.#tail;
    let finished = (): void => undefined;
    this.#tail = new Promise<void>((resolve) => {
      finished = resolve;
    });
    try {
      await unlessAborted(before, signal);
      return await this.#work(work, signal);
    } finally {
      this.#waiting -= 1;
      before.then(finished);
    }
  }

  /** It is this operation's turn. */
  async #work<T>(work: (run: Run) => Promise<T>, signal?: AbortSignal): Promise<T> {
    this.#closing.signal.throwIfAborted();
    await this.#wake();
    const deadlineMs = this.#clock.monotonicMs() + this.#options.limits.operationMs;
    const stop = linked(this.#closing.signal, signal);
    try {
      return await work((command) => this.#connection.run(command, deadlineMs, stop.signal));
    } finally {
      stop.unlink();
      this.#fallAsleep();
    }
  }

  async #wake(): Promise<void> {
    this.#idle?.stop.abort();
    await this.#idle?.done;
    this.#idle = undefined;
  }

  #fallAsleep(): void {
    if (!this.#connection.hasSession || this.#closing.signal.aborted) return;
    this.#connection.rest();
    const stop = new AbortController();
    const pause = this.#clock.sleep(this.#options.reuseMs, stop.signal);
    const done = pause.then(
      () => this.#connection.close(),
      () => undefined,
    );
    this.#idle = { stop, done };
  }
}

const addressText = ({ host, port }: BmcAddress): string =>
  host.includes(":") ? `[${host}]:${port}` : `${host}:${port}`;

function bounded(what: string, text: string, bytesMax: number): Uint8Array {
  const bytes = new TextEncoder().encode(text);
  if (bytes.length <= bytesMax) return bytes;
  throw new Refusal("invalid", `${what}: ${bytes.length} bytes exceed ${bytesMax}, the most that IPMI allows`);
}

function passwordBytes(address: string, password: Secret): Uint8Array {
  const filled = new Uint8Array(20);
  filled.set(bounded(`password of BMC ${address}`, password.reveal(), filled.length));
  return filled;
}

async function unlessRefused<T>(asked: Promise<T>): Promise<T | undefined> {
  try {
    return await asked;
  } catch (error) {
    if (error instanceof BmcRefused) return undefined;
    throw error;
  }
}

/** Resolves with `turn`, or rejects with the signal's reason. */
async function unlessAborted(turn: Promise<void>, signal?: AbortSignal): Promise<void> {
  if (signal === undefined) return turn;
  signal.throwIfAborted();
  let leave = (): void => undefined;
  const left = new Promise<never>((_, reject) => {
    leave = () => reject(signal.reason);
    signal.addEventListener("abort", leave, { once: true });
  });
  await Promise.race([turn, left]).finally(() => signal.removeEventListener("abort", leave));
}

/** A signal that is aborted with either of two; `unlink` lets go of both. */
function linked(one: AbortSignal, other?: AbortSignal): { readonly signal: AbortSignal; readonly unlink: () => void } {
  const both = new AbortController();
  const links = [one, other].flatMap((signal) => {
    if (signal === undefined) return [];
    const abort = (): void => both.abort(signal.reason);
    if (signal.aborted) abort();
    signal.addEventListener("abort", abort, { once: true });
    return [() => signal.removeEventListener("abort", abort)];
  });
  return { signal: both.signal, unlink: () => links.forEach((unlink) => void unlink()) };
}
