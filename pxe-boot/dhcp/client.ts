import { hex } from "#lib/bytes.ts";
import { type Mac, macOf } from "#lib/net/mac.ts";
import { fail, ok, type Result } from "#lib/result.ts";
import { pickArchitecture } from "./architecture.ts";
import type { DhcpMessage } from "./message.ts";
import { ipxeCode, optionCode } from "./option-codes.ts";
import { architecturesOption, subOptions, textOption, userClassesOption } from "./options.ts";

/**
 * Whose lease it is: the MAC as text, or `id:HEX` of the client identifier where there is no MAC. ROM, iPXE, installer and
 * operating system send different client identifiers from one port; the MAC is what they share.
 */
export type Holder = string & { readonly __brand: "Holder" };

/** What a request says about its sender. */
export interface Client {
  readonly holder: Holder;
  readonly mac: Mac | undefined;
  readonly uuid: string | undefined;
  readonly architecture: number | undefined;
  readonly isIpxe: boolean;
  /** This iPXE says that it cannot fetch over HTTP, so a script URL is of no use to it. */
  readonly lacksHttp: boolean;
  /** Vendor class `HTTPClient`: it wants a URL and the class back. */
  readonly isHttpBoot: boolean;
  /** Firmware or iPXE; false for an operating system. */
  readonly isBooting: boolean;
}

const ethernet = 1;

export function clientOf(request: DhcpMessage): Result<Client> {
  const clientId = request.options.get(optionCode.clientId);
  const mac = macOfRequest(request, clientId);
  if (!mac.ok) return mac;
  if (mac.value === undefined && (clientId === undefined || clientId.length < 2 || clientId.length > 255))
    return fail("neither a hardware address nor a client identifier of 2 to 255 bytes");
  const vendorClass = textOption(request.options, optionCode.vendorClass) ?? "";
  const ipxe = subOptions(request.options, optionCode.ipxe);
  const isIpxe = request.options.has(optionCode.ipxe) || userClassesOption(request.options).includes("iPXE");
  const architecture = pickArchitecture(architecturesOf(request, vendorClass), mac.value);
  return ok({
    holder: (mac.value ?? `id:${hex(clientId ?? new Uint8Array())}`) as Holder,
    mac: mac.value,
    uuid: uuidText(request.options.get(optionCode.clientUuid)),
    architecture,
    isIpxe,
    lacksHttp: ipxe.size > 0 && ipxe.get(ipxeCode.http)?.[0] !== 1,
    isHttpBoot: vendorClass.startsWith("HTTPClient"),
    isBooting: isIpxe || architecture !== undefined || /^(PXE|HTTP)Client/.test(vendorClass),
  });
}

function macOfRequest({ hardwareAddress }: DhcpMessage, clientId: Uint8Array | undefined): Result<Mac | undefined> {
  if (hardwareAddress.length === 6 && hardwareAddress.some((byte) => byte !== 0)) {
    if (hardwareAddress[0]! & 1) return fail(`hardware address ${macOf(hardwareAddress)} is a group address`);
    return ok(macOf(hardwareAddress));
  }
  return ok(clientId?.length === 7 && clientId[0] === ethernet ? macOf(clientId.subarray(1)) : undefined);
}

function architecturesOf(request: DhcpMessage, vendorClass: string): readonly number[] {
  const listed = architecturesOption(request.options);
  const inClass = /^(?:PXE|HTTP)Client:Arch:(\d{1,5})/.exec(vendorClass)?.[1];
  return listed.length > 0 || inClass === undefined ? listed : [Number(inClass)];
}

/**
 * @param value option 97: a type byte 0 and the 16 bytes as SMBIOS stores them, whose first three fields are little-endian
 * @source RFC 4578 §2.3, SMBIOS 3.7 §7.2.1
 */
export function uuidText(value: Uint8Array | undefined): string | undefined {
  if (value?.length !== 17 || value[0] !== 0) return undefined;
  const order = [3, 2, 1, 0, 5, 4, 7, 6, 8, 9, 10, 11, 12, 13, 14, 15];
  const text = hex(Uint8Array.from(order, (at) => value[at + 1]!));
  return text.replace(/^(.{8})(.{4})(.{4})(.{4})/, "$1-$2-$3-$4-");
}
