import assert from "node:assert/strict";
import { createSocket } from "node:dgram";
import { once } from "node:events";
import { test } from "node:test";
import { systemClock } from "#lib/io/system-clock.ts";
import { silentLog } from "#lib/log.ts";
import { MemoryDisk } from "#lib/memory-disk.ts";
import { DiskLeases } from "../dhcp/disk-leases.ts";
import { catalogOf, ip, subnetOf } from "../dhcp/testing.ts";
import { MemorySource } from "../files/memory-source.ts";
import { startBootServer } from "./boot-server.ts";
import { DhcpServer } from "./dhcp-server.ts";

const ports = {
  catalog: catalogOf(),
  leases: new DiskLeases(new MemoryDisk(), silentLog),
  files: new MemorySource({}),
  clock: systemClock,
  log: silentLog,
};

test("a configuration that cannot work is refused with all that is wrong", async () => {
  const config = { address: ip("127.0.0.1"), subnets: [], httpBase: "ftp://x", tftpBlockBytesMax: 5 };
  await assert.rejects(startBootServer(config, ports), {
    name: "Refusal",
    code: "invalid",
    message:
      "boot server: no subnet is configured; HTTP base ftp://x: http://ADDRESS:PORT/PATH/ of at most 160 characters is " +
      "wanted; tftp block of 5 bytes is not within 512 to 65464",
  });
});

test("an address that is not here is named", async () => {
  const settings = { address: ip("192.0.2.1"), offerMs: 1, declineMs: 1 };
  const options = { ...ports, settings, subnets: [], store: ports.leases, ports: { server: 0, client: 0 } };
  await assert.rejects(DhcpServer.start(options), /dhcp server cannot listen on 192\.0\.2\.1:0/);
});

test("a DHCP server starts, counts what is no DHCP, and stops", async () => {
  const probe = createSocket("udp4").bind(0, "127.0.0.1");
  await once(probe, "listening");
  // Two sockets share the server's port, so the system cannot choose it; one that it has just given back is free.
  const given = createSocket("udp4").bind(0);
  await once(given, "listening");
  const server = given.address().port;
  given.close();
  await once(given, "close");
  const options = {
    ...ports,
    settings: { address: ip("127.0.0.1"), offerMs: 1, declineMs: 1 },
    subnets: [subnetOf("pxe", "127.0.0.0/24", ["127.0.0.10", "127.0.0.20"])],
    store: ports.leases,
    ports: { server, client: probe.address().port },
  };
  const dhcp = await DhcpServer.start(options);
  probe.send("hello", server, "127.0.0.1");
  while (dhcp.service.statistics().malformed === 0) await new Promise(setImmediate);
  await dhcp.stop();
  probe.close();
});
