import assert from "node:assert/strict";
import { test } from "node:test";
import { setImmediate as turn } from "node:timers/promises";
import { silentLog } from "#lib/log.ts";
import { openAgent, uuidA, uuidB } from "../testing/site.ts";
import type { Bmc, BmcDescription } from "./bmc.ts";
import { BmcDirectory } from "./directory.ts";

const settle = async () => {
  for (let i = 0; i < 20; i++) await turn();
};

type FakeBmc = Bmc & { guid: string | Error; closed: boolean; asked: number; close(): Promise<void> };

function fakeBmc(guid: string | Error): FakeBmc {
  const bmc: FakeBmc = {
    guid,
    closed: false,
    asked: 0,
    async describe() {
      bmc.asked++;
      if (bmc.guid instanceof Error) throw bmc.guid;
      return { guid: bmc.guid, firmware: "9.08", mac: undefined } as BmcDescription;
    },
    powerState: async () => "on",
    power: async () => {},
    setBootDevice: async () => {},
    bootDevice: async () => ({ device: "none", persistent: false, efi: false }),
    identify: async () => {},
    async close() {
      bmc.closed = true;
    },
  };
  return bmc;
}

async function bench(bmcs: Readonly<Record<string, FakeBmc>>, kept: Parameters<typeof openAgent>[0] = {}) {
  const agent = await openAgent(kept);
  const found: string[] = [];
  const directory = new BmcDirectory({
    addresses: Object.keys(bmcs),
    connect: (address) => bmcs[address] ?? fakeBmc(new Error("no such BMC")),
    observations: agent.observations,
    pollMs: 60_000,
    searchMs: 10_000,
    found: (uuid) => found.push(uuid),
    clock: agent.clock,
    log: silentLog,
  });
  const stop = new AbortController();
  const run = directory.run(stop.signal);
  await settle();
  const advance = async (ms: number) => {
    agent.clock.advance(ms);
    await settle();
  };
  return { agent, directory, found, stop, run, advance };
}

test("a BMC is found by the system GUID that it shows, and the machine becomes known", async () => {
  const bmc = fakeBmc(uuidA);
  const { agent, directory, found, advance } = await bench({ "10.0.0.5": bmc });
  assert.equal(directory.of(uuidA), bmc);
  assert.equal(agent.observations.get(uuidA)?.bmc?.address, "10.0.0.5");
  await advance(60_000);
  assert.equal(bmc.asked, 2);
  assert.deepEqual(found, [uuidA]);
});

test("a look that shows nothing new writes nothing for five minutes", async () => {
  const { agent, advance } = await bench({ "10.0.0.5": fakeBmc(uuidA) });
  const { writes } = agent.disk;
  for (let i = 0; i < 5; i++) await advance(60_000);
  assert.equal(agent.disk.writes, writes);
  await advance(60_000);
  assert.equal(agent.disk.writes, writes + 1);
});

test("a BMC that does not answer is searched again, and its machine keeps it", async () => {
  const bmc = fakeBmc(uuidA);
  const { directory, advance } = await bench({ "10.0.0.5": bmc });
  bmc.guid = new Error("BMC 10.0.0.5:623: no answer");
  await advance(60_000);
  await advance(10_000);
  assert.equal(bmc.asked, 3);
  assert.equal(directory.of(uuidA), bmc);
});

test("an address that belongs to another machine now is not taken for the former one's", async () => {
  const bmc = fakeBmc(uuidA);
  const { directory, found, advance } = await bench({ "10.0.0.5": bmc });
  bmc.guid = uuidB;
  await advance(60_000);
  assert.equal(directory.of(uuidA), undefined);
  assert.equal(directory.of(uuidB), bmc);
  assert.deepEqual(found, [uuidA, uuidB]);
});

test("after a restart no order goes to an address before the BMC there has said whose it is", async () => {
  const first = await bench({ "10.0.0.5": fakeBmc(uuidA) });
  const away = fakeBmc(new Error("no answer"));
  const { directory, found, advance } = await bench({ "10.0.0.5": away }, first.agent);
  assert.equal(directory.of(uuidA), undefined);
  away.guid = uuidA;
  await advance(10_000);
  assert.equal(directory.of(uuidA), away);
  assert.deepEqual(found, [uuidA], "the machine is looked at as soon as its BMC is there");
});

test("UUID duplicates: of two BMCs with one GUID the first keeps the machine, until it is gone", async () => {
  const [one, two] = [fakeBmc(uuidA), fakeBmc(uuidA)];
  const { directory, advance } = await bench({ "10.0.0.5": one, "10.0.0.6": two });
  assert.equal(directory.of(uuidA), one);
  one.guid = new Error("no answer");
  await advance(60_000);
  await advance(10_000);
  assert.equal(directory.of(uuidA), two);
});

test("a stop ends the search and closes every session", async () => {
  const [one, two] = [fakeBmc(uuidA), fakeBmc(new Error("no answer"))];
  const { agent, directory, stop, run } = await bench({ "10.0.0.5": one, "10.0.0.6": two });
  stop.abort(new Error("stopping"));
  await run;
  await directory.close();
  assert.deepEqual([one.closed, two.closed, agent.clock.nextMs], [true, true, undefined]);
});
