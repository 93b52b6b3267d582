// The commands of this client: bytes out, bytes in. Sections are those of the IPMI 2.0 specification, rev. 1.1.
import { decoding, Reader, Writer } from "#lib/bytes.ts";
import { type Mac, macOf } from "#lib/net/mac.ts";
import { ok, type Result } from "#lib/result.ts";

export interface Command<T> {
  readonly name: string;
  readonly netFn: number;
  readonly code: number;
  readonly content: Uint8Array;
  /**
   * Whether it may be carried out twice: `harmless` is repeated under a new session sequence number, so that a BMC whose
   * answer was lost answers again; `once` is repeated late and as the identical packet, which a BMC that got it already
   * drops.
   */
  readonly repeat: "harmless" | "once";
  /** Meanings of the completion codes 0x80 to 0xbe, which are this command's own. */
  readonly codes: Readonly<Record<number, string>>;
  readonly decode: (content: Uint8Array) => Result<T>;
}

const chassis = 0x00;
const app = 0x06;
const lan = 0x0c;
/** The channel over which the request comes. */
const thisChannel = 0x0e;

const command = <T>(
  name: string,
  where: { readonly netFn: number; readonly code: number; readonly content?: readonly number[] },
  decode: (reader: Reader) => T,
  more: Partial<Pick<Command<T>, "repeat" | "codes">> = {},
): Command<T> => ({
  name,
  netFn: where.netFn,
  code: where.code,
  content: Uint8Array.from(where.content ?? []),
  repeat: "harmless",
  codes: {},
  decode: (content) => decoding(name, () => ok(decode(new Reader(content)))),
  ...more,
});

const nothing = (): void => undefined;

export interface ChannelAbilities {
  readonly speaksRmcpPlus: boolean;
  /** The channel wants a second key (K_g), which this client does not have. */
  readonly wantsChannelKey: boolean;
}

/** §22.13; asked outside a session. */
export const getChannelAuthCapabilities = (privilege: number): Command<ChannelAbilities> =>
  command(
    "Get Channel Authentication Capabilities",
    { netFn: app, code: 0x38, content: [0x80 | thisChannel, privilege] },
    (r) => {
      r.skip(1);
      const hasExtended = (r.u8() & 0x80) !== 0;
      const wantsChannelKey = (r.u8() & 0x20) !== 0;
      return { speaksRmcpPlus: hasExtended && (r.u8() & 0x02) !== 0, wantsChannelKey };
    },
  );

/** §22.18. @param level 3 operator, 4 administrator */
export const setSessionPrivilege = (level: number): Command<void> =>
  command("Set Session Privilege Level", { netFn: app, code: 0x3b, content: [level] }, nothing, {
    codes: { 128: "the user does not have this privilege", 129: "above the limit of the channel or user" },
  });

/** §22.19 */
export const closeSession = (bmcId: number): Command<void> =>
  command("Close Session", { netFn: app, code: 0x3c, content: [...new Writer(4).u32le(bmcId).bytes()] }, nothing, {
    repeat: "once",
    codes: { 135: "no such session" },
  });

export interface DeviceId {
  /** `9.08`: major and minor revision, the minor as two BCD digits. */
  readonly firmware: string;
  readonly isUpdating: boolean;
  /** `2.0` */
  readonly ipmiVersion: string;
  /** Private Enterprise Number given out by IANA. */
  readonly manufacturerId: number;
  readonly productId: number;
}

/** §20.1 */
export const getDeviceId: Command<DeviceId> = command("Get Device ID", { netFn: app, code: 0x01 }, (r) => {
  r.skip(2);
  const major = r.u8();
  const minor = r.u8().toString(16).padStart(2, "0");
  const version = r.u8();
  r.skip(1);
  const manufacturerId = (r.u16le() | (r.u8() << 16)) & 0xfffff;
  return {
    firmware: `${major & 0x7f}.${minor}`,
    isUpdating: (major & 0x80) !== 0,
    ipmiVersion: `${version & 0x0f}.${version >> 4}`,
    manufacturerId,
    productId: r.u16le(),
  };
});

/** §22.14; 16 bytes as they come. */
export const getSystemGuid: Command<Uint8Array> = command("Get System GUID", { netFn: app, code: 0x37 }, (r) =>
  r.bytes(16),
);

/** §23.2, parameter 5 (§23.2 table 23-4): the BMC's own Ethernet address. */
export const getLanMac: Command<Mac> = command(
  "Get LAN Configuration Parameters (MAC address)",
  { netFn: lan, code: 0x02, content: [thisChannel, 5, 0, 0] },
  (r) => {
    r.skip(1);
    return macOf(r.bytes(6));
  },
  { codes: { 128: "parameter not supported" } },
);

export interface ChassisStatus {
  readonly isOn: boolean;
}

/** §28.2 */
export const getChassisStatus: Command<ChassisStatus> = command(
  "Get Chassis Status",
  { netFn: chassis, code: 0x01 },
  (r) => ({ isOn: (r.u8() & 0x01) !== 0 }),
);

export type PowerAction = "on" | "off" | "cycle" | "reset" | "soft";

const powerActions: Readonly<Record<PowerAction, { code: number; repeat: "harmless" | "once" }>> = {
  off: { code: 0, repeat: "harmless" },
  on: { code: 1, repeat: "harmless" },
  cycle: { code: 2, repeat: "once" },
  reset: { code: 3, repeat: "once" },
  soft: { code: 5, repeat: "once" },
};

/** §28.3 */
export const chassisControl = (action: PowerAction): Command<void> => {
  const { code, repeat } = powerActions[action];
  return command(`power ${action}`, { netFn: chassis, code: 0x02, content: [code] }, nothing, { repeat });
};

/** §28.5. @param seconds 0 to 255, 0 ends it; `on` until it is ended */
export const chassisIdentify = (seconds: number | "on"): Command<void> =>
  command(
    seconds === 0 ? "identify off" : "identify on",
    { netFn: chassis, code: 0x04, content: seconds === "on" ? [0, 1] : [seconds] },
    nothing,
  );

export type BootDevice = "pxe" | "disk" | "bios" | "none";

export interface BootOrder {
  readonly device: BootDevice;
  /** For every boot from now on, else for the next one alone (and void after 60 s when nothing boots). */
  readonly persistent: boolean;
  readonly efi: boolean;
}

const bootDevices: Readonly<Record<BootDevice, number>> = { none: 0, pxe: 1, disk: 2, bios: 6 };
const bootCodes = { 128: "parameter not supported", 129: "somebody else is setting it", 130: "read-only" };

/** §28.12, parameter 4: tells the firmware that there is something new to look at. */
export const offerBootInfo: Command<void> = command(
  "Set System Boot Options (boot info acknowledge)",
  { netFn: chassis, code: 0x08, content: [4, 1, 1] },
  nothing,
  { codes: bootCodes },
);

/** §28.12, parameter 5: device, persistence and EFI in one command, for some BMCs fall back to BIOS boot in between. */
export const setBootFlags = (order: BootOrder): Command<void> => {
  const flags = 0x80 | (order.persistent ? 0x40 : 0) | (order.efi ? 0x20 : 0);
  return command(
    `set boot device ${order.device}`,
    { netFn: chassis, code: 0x08, content: [5, flags, bootDevices[order.device] << 2, 0, 0, 0] },
    nothing,
    { codes: bootCodes },
  );
};

export interface BootFlags {
  /** Whether the flags will be used for the next boot. */
  readonly isValid: boolean;
  readonly persistent: boolean;
  readonly efi: boolean;
  readonly device: BootDevice | "other";
}

/** §28.13, parameter 5 */
export const getBootFlags: Command<BootFlags> = command(
  "Get System Boot Options",
  { netFn: chassis, code: 0x09, content: [5, 0, 0] },
  (r) => {
    r.skip(2);
    const flags = r.u8();
    const selector = (r.u8() >> 2) & 0x0f;
    const known = (Object.keys(bootDevices) as BootDevice[]).find((name) => bootDevices[name] === selector);
    return {
      isValid: (flags & 0x80) !== 0,
      persistent: (flags & 0x40) !== 0,
      efi: (flags & 0x20) !== 0,
      device: known ?? "other",
    };
  },
  { codes: bootCodes },
);

const serialPayload = [1, 1];

/** §24.1, payload type 1, instance 1, encrypted and authenticated. The answer's size counts the four bytes before the characters. */
export const activateSerial: Command<{ readonly charactersMax: number }> = command(
  "Activate Payload (serial console)",
  { netFn: app, code: 0x48, content: [...serialPayload, 0xc0, 0, 0, 0] },
  (r) => {
    r.skip(4);
    return { charactersMax: r.u16le() - 4 };
  },
  {
    repeat: "once",
    codes: {
      128: "somebody else has the console",
      129: "Serial over LAN is switched off; enable it in the BMC's settings",
      130: "no more consoles can be opened",
      131: "it cannot encrypt the console",
    },
  },
);

/** §24.2 */
export const deactivateSerial: Command<void> = command(
  "Deactivate Payload (serial console)",
  { netFn: app, code: 0x49, content: [...serialPayload, 0, 0, 0, 0] },
  nothing,
  { codes: { 128: "nobody has the console", 129: "Serial over LAN is switched off" } },
);

/** §24.4. @returns id of the session that has the console, in the BMC's own terms; 0: nobody has */
export const getSerialOwner: Command<number> = command(
  "Get Payload Instance Info (serial console)",
  { netFn: app, code: 0x4b, content: serialPayload },
  (r) => r.u32le(),
);
