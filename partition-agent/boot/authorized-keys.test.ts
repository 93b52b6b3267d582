import assert from "node:assert/strict";
import { test } from "node:test";
import { installed, start, uuidA } from "../testing/site.ts";
import { authorizedKeys } from "./authorized-keys.ts";

const wanted = (epoch: bigint, ...sshPublicKeys: string[]) => ({
  uuid: uuidA,
  partition: "p1",
  epoch,
  allocation: { project: "p", sshPublicKeys },
});

test("a system gets the keys that its allocation has by now, also while central is away", async () => {
  const { agent, central } = await start();
  const { home } = await installed(agent, central);
  assert.deepEqual(await authorizedKeys(agent.site, home), { keys: "" });
  await central.want(agent, wanted(2n, "ssh-ed25519 AAAA me", "ssh-rsa BBBB you\nssh-rsa CCCC"));
  assert.deepEqual(await authorizedKeys(agent.site, home), {
    keys: "ssh-ed25519 AAAA me\nssh-rsa BBBB you ssh-rsa CCCC\n",
  });
});

test("one whose allocation is over gets none of the next tenant's, and nobody gets any without the token", async () => {
  const { agent, central } = await start();
  const { home } = await installed(agent, central);
  await central.want(agent, wanted(4n, "ssh-ed25519 AAAA next"));
  assert.equal(await authorizedKeys(agent.site, home), "gone");
  await central.free(agent, uuidA, 5n);
  assert.equal(await authorizedKeys(agent.site, home), "gone");
  await assert.rejects(authorizedKeys(agent.site, "x.y.z"), /not one of this agent/);
});

test("an agent that cannot trust what it remembers gives none: the system keeps those that it has", async () => {
  const { agent, central } = await start();
  const { home } = await installed(agent, central);
  const site = { ...agent.site, safeMode: { why: "central to be heard" } };
  await assert.rejects(authorizedKeys(site, home), /central to be heard; ask again later/);
});
