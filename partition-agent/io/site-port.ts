// Where people on site reach the agent: a Unix socket always, an address with TLS when the configuration names one.
import { createHash, X509Certificate } from "node:crypto";
import { readFile, statfs, writeFile } from "node:fs/promises";
import path from "node:path";
import type { Interceptor } from "@connectrpc/connect";
import { type Listening, listen, type OnePort, type TlsMaterial, type Where } from "#lib/io/one-port.ts";
import { packageVersion } from "#lib/io/package-version.ts";
import { secretFile } from "#lib/io/secret-file.ts";
import { systemRandom as random } from "#lib/io/system-random.ts";
import type { Lifetime } from "#lib/lifetime.ts";
import { DiskLeases } from "#pxe-boot/dhcp/disk-leases.ts";
import { type ForPeople, peopleInterceptors, peopleRoutes } from "../api/router.ts";
import type { AgentConfig } from "../config.ts";
import { socketAccess, tokenAccess } from "../site/access.ts";
import { SiteCredential } from "../site/credential.ts";
import { onSiteInterceptors, onSiteRoutes } from "../site/router.ts";
import type { OnSite, OnSiteParts } from "../site/service.ts";
import { selfMadeCertificate } from "./self-made-certificate.ts";
import { clearSocketPath } from "./site-socket.ts";

/** People, not machines: they ask little, and many connections are a fault. Answers hold all machines of a partition. */
const limits = { connectionsMax: 100, streamsMax: 32, requestBytesMax: 64 << 10, responseBytesMax: 64 << 20 } as const;

/** What is served: to people on site, and to members of projects that have a budget here. */
export interface Served {
  readonly onSite: OnSiteParts;
  readonly forPeople: ForPeople;
}

export async function openSitePort(config: AgentConfig, served: Served, lifetime: Lifetime): Promise<void> {
  const { onSite: parts, forPeople } = served;
  const { disk, clock, log } = parts.site;
  const credential = await credentialOf(config, parts);
  const on: OnSite = {
    ...parts,
    version: packageVersion(),
    startedMs: clock.wallMs(),
    leases: () => new DiskLeases(disk, log).load(),
    diskSpace: () => spaceAt(config.dataDir),
    credential,
    address: () => encrypted,
    random,
  };
  const open = async (what: Pick<OnePort, "routes" | "interceptors" | "tls">, where: Where): Promise<Listening> => {
    const server = await listen({ ...what, limits, log }, where);
    lifetime.onStop("site-port", () => server.stop());
    return server;
  };
  const forSite = (access: Interceptor) => ({
    routes: onSiteRoutes(on),
    interceptors: onSiteInterceptors(on, access),
  });
  let encrypted: ReturnType<OnSite["address"]>;
  const socket = config.site.socket ?? path.join(config.dataDir, "site.sock");
  await clearSocketPath(socket);
  await open(forSite(socketAccess), { socket });
  log.info("site-socket-open", { socket });
  const { address: host, port } = config.site;
  if (host === undefined || !credential) return;
  const material = await certificateOf(config, parts);
  const tls = () => material;
  const bound = await open({ ...forSite(tokenAccess(credential, { clock, log })), tls }, { host, port });
  const { fingerprint256: fingerprint } = new X509Certificate(Buffer.from(material.certificate));
  encrypted = { url: `https://${bound.address}:${bound.port}`, fingerprint };
  log.info("site-port-open", { ...encrypted, tokenFile: credential.file });
  const { apiPort } = config.site;
  if (apiPort === undefined) return;
  const people = { routes: peopleRoutes(forPeople), interceptors: peopleInterceptors(forPeople), tls };
  const api = await open(people, { host, port: apiPort });
  const apiUrl = `https://${api.address}:${api.port}`;
  encrypted = { ...encrypted, apiUrl };
  log.info("api-port-open", { url: apiUrl, fingerprint });
}

/** Nobody can show a token where no address is served, so none is made there. */
async function credentialOf({ site, dataDir }: AgentConfig, parts: OnSiteParts): Promise<SiteCredential | undefined> {
  if (site.address === undefined) return undefined;
  const file = secretFile(path.resolve(site.tokenFile ?? path.join(dataDir, "site-token")));
  return await SiteCredential.open({ disk: parts.site.disk, random, sha256, file });
}

const sha256 = (text: string): string => createHash("sha256").update(text).digest("hex");

/** The certificate that it makes itself is laid where clients can be given it: it is what they trust. */
async function certificateOf(
  { site, partition, dataDir }: AgentConfig,
  { site: { disk } }: OnSiteParts,
): Promise<TlsMaterial> {
  const { certFile, keyFile, address, names = [] } = site;
  if (certFile !== undefined && keyFile !== undefined)
    return { certificate: await readFile(certFile), key: await readFile(keyFile) };
  const subject = `holdfast agent of ${partition}`;
  const made = await selfMadeCertificate(disk, { subject, names: [address ?? "", ...names] });
  await writeFile(path.join(dataDir, "site-certificate.pem"), made.certificate);
  return made;
}

/** Of the file system that holds the folder. */
async function spaceAt(folder: string): Promise<{ freeBytes: number; sizeBytes: number }> {
  const { bavail, blocks, bsize } = await statfs(folder);
  return { freeBytes: bavail * bsize, sizeBytes: blocks * bsize };
}
