/** Where a BMC listens. @param port usually 623 */
export interface BmcAddress {
  readonly host: string;
  readonly port: number;
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
