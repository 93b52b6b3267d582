// A client and a BMC in memory, with virtual time between them.
import { bug } from "#lib/bug.ts";
import { silentLog } from "#lib/log.ts";
import { Secret } from "#lib/secret.ts";
import { Seeded } from "#lib/seeded.ts";
import { VirtualClock } from "#lib/virtual-clock.ts";
import { cipherSuites } from "../cipher-suite.ts";
import type { BmcCrypto } from "../crypto.ts";
import { RmcpBmc, type RmcpOptions, type RmcpTarget } from "../rmcp-bmc.ts";
import { memoryTransport } from "./memory-transport.ts";
import { Responder, type ResponderSetup } from "./responder.ts";

export interface PairChange {
  readonly target?: Partial<RmcpTarget>;
  readonly setup?: Partial<ResponderSetup>;
  readonly options?: Partial<RmcpOptions>;
}

/** @param quiet resolves after all promises have settled that can: `setImmediate` */
export const pairing =
  (crypto: BmcCrypto, quiet: () => Promise<unknown>) =>
  ({ target = {}, setup = {}, options = {} }: PairChange = {}) => {
    const random = new Seeded(1);
    const clock = new VirtualClock();
    const guid = Uint8Array.from({ length: 16 }, (_, i) => i + 1);
    const responder = new Responder(
      { crypto, random },
      { suites: cipherSuites, users: { admin: "secret" }, guid, sessionsMax: 4, ...setup },
    );
    const transport = memoryTransport({ "bmc1:623": responder });
    const address = { host: "bmc1", port: 623 };
    const bmc = new RmcpBmc(
      { address, user: "admin", password: new Secret("secret"), ...target },
      { transport, crypto, clock, random, log: silentLog },
      options,
    );
    /** Lets time pass while nothing else happens, until `work` has settled. */
    const ends = async <T>(work: Promise<T>): Promise<T> => {
      let settled = false;
      const end = (): void => {
        settled = true;
      };
      work.then(end, end);
      for (;;) {
        await quiet();
        if (settled) return work;
        clock.advance((clock.nextMs ?? bug("it waits for nothing")) - clock.monotonicMs());
      }
    };
    return { bmc, responder, transport, clock, ends };
  };
