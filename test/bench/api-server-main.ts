// A server of bench:api in a process of its own: `echo`, whose answer is empty, or the shipped central over the etcd at this address.
// Tells its parent where it listens and, when asked, how long it has computed, and stops when the parent disconnects.
import http2 from "node:http2";
import type { AddressInfo } from "node:net";
import { connectNodeAdapter } from "@connectrpc/connect-node";
import { VersionService } from "#gen/metalstack/api/v2/version_pb.ts";
import type { ServerAddress } from "./api-server.ts";
import { owner } from "./api-world.ts";
import { startBenchCentral } from "./central.ts";

async function start(what: string): Promise<{ readonly address: ServerAddress; readonly stop: () => Promise<void> }> {
  if (what !== "echo") {
    const central = await startBenchCentral([what], { isAudited: true });
    return { address: { url: central.url, token: await central.tokenOf(owner) }, stop: () => central.stop() };
  }
  const server = http2.createServer(
    connectNodeAdapter({ routes: (router) => router.service(VersionService, { get: () => ({}) }) }),
  );
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as AddressInfo;
  return { address: { url: `http://127.0.0.1:${port}`, token: "" }, stop: async () => void server.close() };
}

const { address, stop } = await start(process.argv[2] ?? "echo");
process.send?.(address);
process.on("message", () => process.send?.(process.cpuUsage()));
process.once("disconnect", () => void stop().finally(() => process.exit()));
