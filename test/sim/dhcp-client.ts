import { ipv4Text } from "#lib/net/ipv4.ts";
import type { Seeded } from "#lib/seeded.ts";
import { decodeDhcp, encodeDhcp } from "#pxe-boot/dhcp/codec.ts";
import { optionCode } from "#pxe-boot/dhcp/option-codes.ts";
import { fromIpxe, requestOf } from "#pxe-boot/dhcp/testing.ts";
import type { Life } from "./life.ts";

/** Where a client's datagrams go. */
export interface Wire {
  readonly send: (bytes: Uint8Array) => void;
}

/** What a PXE ROM does to get an address, with its time-outs; and how a system keeps it. */
export class DhcpClient {
  readonly #mac: string;
  readonly #random: Seeded;
  readonly #wire: Wire;
  #reply: ((bytes: Uint8Array) => void) | undefined;
  #xid = 0;

  constructor(mac: string, random: Seeded, wire: Wire) {
    this.#mac = mac;
    this.#random = random;
    this.#wire = wire;
  }

  hears(xid: number, bytes: Uint8Array): void {
    if (xid === this.#xid) this.#reply?.(bytes);
  }

  /** DISCOVER to ACK. @returns the address; undefined when nobody answers */
  async acquire(life: Life): Promise<string | undefined> {
    for (const waitMs of [4_000, 8_000, 16_000]) {
      const offer = await this.#ask(life, requestOf("discover", this.#said), waitMs);
      if (!offer.ok) continue;
      const server = offer.value.options.get(optionCode.serverId);
      const requested = ipv4Text(offer.value.yiaddr);
      const more = server ? [[optionCode.serverId, server] as const] : [];
      const said = { ...this.#said, requested, options: [...(this.#said.options ?? []), ...more] };
      const ack = await this.#ask(life, requestOf("request", said), waitMs);
      if (ack.ok) return ipv4Text(ack.value.yiaddr);
    }
    return undefined;
  }

  /** Asks for the same address again, as half-way through its lease. */
  async renew(life: Life, address: string): Promise<string | undefined> {
    const request = requestOf("request", { mac: this.#mac, xid: this.#nextXid(), ciaddr: address });
    const ack = await this.#ask(life, request, 10_000);
    return ack.ok ? ipv4Text(ack.value.yiaddr) : undefined;
  }

  get #said() {
    return { ...fromIpxe(), mac: this.#mac, xid: this.#nextXid() };
  }

  #nextXid(): number {
    this.#xid = this.#random.below(2 ** 32);
    return this.#xid;
  }

  async #ask(life: Life, message: Parameters<typeof encodeDhcp>[0], waitMs: number) {
    this.#xid = message.xid;
    const heard = new Promise<Uint8Array | undefined>((resolve) => {
      const cancel = life.later(waitMs, () => resolve(undefined));
      this.#reply = (bytes) => {
        cancel();
        life.later(1, () => resolve(bytes));
      };
    });
    this.#wire.send(encodeDhcp(message, 1500));
    const bytes = await heard;
    this.#reply = undefined;
    return bytes ? decodeDhcp(bytes) : ({ ok: false } as const);
  }
}
