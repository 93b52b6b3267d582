import type { Clock } from "#lib/clock.ts";
import type { Log } from "#lib/log.ts";
import { type Ipv4, ipv4Text } from "#lib/net/ipv4.ts";
import { Refusal } from "#lib/refusal.ts";
import type { Catalog } from "../catalog.ts";
import type { LeaseStore } from "../dhcp/lease.ts";
import type { DhcpService } from "../dhcp/service.ts";
import { defaultDeclineMs, defaultOfferMs } from "../dhcp/settings.ts";
import type { DhcpStatistics } from "../dhcp/statistics.ts";
import { type Subnet, subnetProblems } from "../dhcp/subnet.ts";
import type { FileSource } from "../files/file-source.ts";
import { defaultTermLimits } from "../tftp/terms.ts";
import { DhcpServer } from "./dhcp-server.ts";
import { TftpServer, type TftpStatistics } from "./tftp-server.ts";

export interface BootServerConfig {
  /** Of this host, or a virtual address on it: DHCP server identifier, TFTP server, source of all replies */
  readonly address: Ipv4;
  readonly subnets: readonly Subnet[];
  /** URL of the boot files for UEFI HTTP Boot: `http://10.0.0.1:8080/boot/` */
  readonly httpBase?: string;
  /** Boot program by architecture, before the built-in ones */
  readonly bootFiles?: ReadonlyMap<number, string>;
  /** 1468 unless said; overlay networks take less */
  readonly tftpBlockBytesMax?: number;
}

export interface BootServerPorts {
  readonly catalog: Catalog;
  readonly leases: LeaseStore;
  /** What TFTP serves */
  readonly files: FileSource;
  readonly clock: Clock;
  readonly log: Log;
}

export interface BootServer {
  readonly dhcp: DhcpService;
  statistics(): { readonly dhcp: DhcpStatistics; readonly tftp: TftpStatistics };
  /** Answers what it has taken in, breaks off transfers, closes all sockets. */
  stop(): Promise<void>;
}

/**
 * Starts DHCP and TFTP; HTTP is mounted by the caller with `httpFiles`.
 * @throws Refusal `invalid` with everything that is wrong with the configuration; Error when an address or port cannot be had
 */
export async function startBootServer(config: BootServerConfig, ports: BootServerPorts): Promise<BootServer> {
  const problems = configProblems(config);
  if (problems.length > 0) throw new Refusal("invalid", `boot server: ${problems.join("; ")}`);
  const { address, subnets, httpBase, bootFiles } = config;
  const { catalog, clock, log } = ports;
  const dhcp = await DhcpServer.start({
    settings: { address, offerMs: defaultOfferMs, declineMs: defaultDeclineMs, httpBase, bootFiles },
    subnets,
    catalog,
    store: ports.leases,
    clock,
    log,
  });
  const limits = { ...defaultTermLimits, blockBytesMax: config.tftpBlockBytesMax ?? defaultTermLimits.blockBytesMax };
  let tftp: TftpServer;
  try {
    tftp = await TftpServer.start({ address, files: ports.files, clock, log, limits });
  } catch (error) {
    await dhcp.stop();
    throw error;
  }
  log.info("boot-server-up", { address: ipv4Text(address), subnets: subnets.map(({ name }) => name) });
  return {
    dhcp: dhcp.service,
    statistics: () => ({ dhcp: dhcp.service.statistics(), tftp: tftp.statistics() }),
    stop: async () => {
      await Promise.all([dhcp.stop(), tftp.stop()]);
    },
  };
}

function configProblems({ subnets, httpBase, tftpBlockBytesMax }: BootServerConfig): readonly string[] {
  const problems = [...subnetProblems(subnets)];
  if (subnets.length === 0) problems.push("no subnet is configured");
  if (httpBase !== undefined && !/^http:\/\/[\x21-\x7e]{1,160}\/$/.test(httpBase))
    problems.push(`HTTP base ${httpBase}: http://ADDRESS:PORT/PATH/ of at most 160 characters is wanted`);
  if (tftpBlockBytesMax !== undefined && !(tftpBlockBytesMax >= 512 && tftpBlockBytesMax <= 65_464))
    problems.push(`tftp block of ${tftpBlockBytesMax} bytes is not within 512 to 65464`);
  return problems;
}
