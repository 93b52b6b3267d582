import { fail, ok, type Result } from "#lib/result.ts";

/** Where a BMC listens. @param port usually 623 */
export interface BmcAddress {
  readonly host: string;
  readonly port: number;
}

/** `10.0.0.1`, `10.0.0.1:623`, `[fd00::1]:623`, `bmc1.example`; the port is 623 when it is left out. */
export function parseBmcAddress(text: string): Result<BmcAddress> {
  const [, bracketed, name, portText] = /^(?:\[([0-9a-fA-F:.%]+)\]|([^\s:[\]/]+))(?::(\d{1,5}))?$/.exec(text) ?? [];
  const host = bracketed ?? name;
  const port = portText === undefined ? 623 : Number(portText);
  if (host === undefined || port < 1 || port > 65_535)
    return fail(`BMC address ${text}: a host and perhaps a port are wanted, such as 10.0.0.1 or [fd00::1]:623`);
  return ok({ host, port });
}

/** Datagrams to and from one BMC. Those of other senders never arrive. */
export interface BmcSocket {
  /** May be lost, like any datagram; never throws. */
  send(datagram: Uint8Array): void;
  /** Nothing is delivered after this. */
  close(): void;
}

export interface BmcListener {
  onDatagram(datagram: Uint8Array): void;
  /** The network said that nobody listens there, or that there is no way. */
  onError(error: Error): void;
}

export interface BmcTransport {
  open(address: BmcAddress, listener: BmcListener): Promise<BmcSocket>;
}
