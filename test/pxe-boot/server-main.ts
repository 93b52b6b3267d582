// The shipped boot server in a process of its own, so that a test can put it into a network namespace and kill it.
// Usage: server-main.ts JSON, see ServerJob. Prints `ready` when it serves, and its statistics on SIGTERM.
import { createServer } from "node:http";
import { LmdbDisk } from "#lib/io/lmdb-disk.ts";
import { systemClock } from "#lib/io/system-clock.ts";
import { silentLog } from "#lib/log.ts";
import { parseIpv4, parseIpv4Prefix } from "#lib/net/ipv4.ts";
import type { Result } from "#lib/result.ts";
import { DiskLeases } from "#pxe-boot/dhcp/disk-leases.ts";
import { startBootServer } from "#pxe-boot/io/boot-server.ts";
import { FolderSource } from "#pxe-boot/io/folder-source.ts";
import { httpFiles } from "#pxe-boot/io/http-files.ts";

export interface ServerJob {
  readonly address: string;
  readonly subnets: readonly {
    readonly name: string;
    readonly prefix: string;
    readonly first: string;
    readonly last: string;
    readonly router?: string;
  }[];
  readonly diskFolder: string;
  readonly filesFolder: string;
  readonly httpPort?: number;
}

function must<T>(result: Result<T>): T {
  if (!result.ok) throw new Error(result.error);
  return result.value;
}

const job = JSON.parse(process.argv[2] ?? "") as ServerJob;
const disk = new LmdbDisk(job.diskFolder);
const files = new FolderSource(job.filesFolder);
const base = `http://${job.address}:${job.httpPort ?? 80}`;
const server = await startBootServer(
  {
    address: must(parseIpv4(job.address)),
    httpBase: `${base}/boot/`,
    subnets: job.subnets.map(({ name, prefix, first, last, router }) => ({
      name,
      prefix: must(parseIpv4Prefix(prefix)),
      range: { first: must(parseIpv4(first)), last: must(parseIpv4(last)) },
      router: router === undefined ? undefined : must(parseIpv4(router)),
      dnsServers: [],
      ntpServers: [],
      domainName: undefined,
      mtu: undefined,
      leaseSeconds: 3600,
      isAuthoritative: true,
    })),
  },
  {
    catalog: { host: () => ({ kind: "serve", scriptUrl: `${base}/boot/boot.ipxe` }), isReserved: () => false },
    leases: new DiskLeases(disk, silentLog),
    files,
    clock: systemClock,
    log: silentLog,
  },
);
const handler = httpFiles("/boot/", files, silentLog);
const http = createServer(async (request, response) => {
  if (!(await handler(request, response))) response.writeHead(404).end();
});
if (job.httpPort !== undefined) await new Promise<void>((resolve) => http.listen(job.httpPort, job.address, resolve));
process.on("SIGTERM", async () => {
  http.close();
  await server.stop();
  await disk.close();
  console.log(JSON.stringify(server.statistics()));
  process.exit(0);
});
console.log("ready");
