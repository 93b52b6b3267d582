// What of the identity of a machine is believed, and what happens when two claim the same.
import assert from "node:assert/strict";
import { test } from "node:test";
import { stateOf } from "#domain/machine/lifecycle.ts";
import { MachineProvisioningEventType as Event } from "#gen/metalstack/api/v2/machine_pb.ts";
import {
  installed,
  macA,
  macB,
  observed,
  refusalOf,
  start,
  TestInstaller,
  uuidA,
  uuidB,
  waiting,
} from "../testing/site.ts";

test("a MAC known twice: the second machine is refused by name, in its status too, and taken in when the first has it no more", async () => {
  const { agent, central } = await start();
  await waiting(agent, central);
  const second = await TestInstaller.boots(agent, uuidB, macB);
  await second.event(Event.PREPARING);
  await second.event(Event.REGISTERING);
  const why = `MAC ${macA} is already machine ${uuidA}'s; ${uuidB} reports it, too`;
  assert.equal(await refusalOf(second.register([macB, macA])), `MAC_KNOWN_TWICE: ${why}`);
  assert.equal(observed(agent, uuidB).lastFailure, `register: ${why}`);
  const first = await TestInstaller.boots(agent, uuidA, macA);
  await first.event(Event.PREPARING);
  await second.event(Event.PREPARING);
  await agent.observations.update(uuidA, (m) => {
    if (m.hardware) m.hardware.nics = [];
  });
  await second.register([macB, macA]);
  await second.wiped();
  assert.equal(observed(agent, uuidB).lastFailure, "");
});

test("a MAC known twice: a server that shows another machine's UUID boots neither installer nor disk, and is told why", async () => {
  const { agent, central } = await start();
  await installed(agent, central);
  await waiting(agent, central, uuidB, macB);
  const why = `MAC ${macA} is already machine ${uuidA}'s; ${uuidB} boots by it, too`;
  assert.deepEqual(await agent.script(macA, uuidB), { kind: "later", why });
  assert.equal(observed(agent, uuidB).lastFailure, why);
  assert.equal(stateOf(observed(agent, uuidA).events), Event.BOOTING_NEW_KERNEL);
});

test("a server whose firmware shows no UUID cannot come in under an installed machine's", async () => {
  const { agent, central } = await start();
  await installed(agent, central);
  const before = observed(agent, uuidA);
  const other = await TestInstaller.boots(agent, uuidA, macB, "");
  assert.match(await refusalOf(other.event(Event.PREPARING)), /UUID_IN_USE/);
  assert.match(await refusalOf(other.register()), /UUID_IN_USE/);
  assert.equal(observed(agent, uuidA), before);
});

test("a machine that boots by a MAC which it does not report is refused", async () => {
  const { agent } = await start();
  const installer = await TestInstaller.boots(agent, uuidA, macA);
  await installer.event(Event.PREPARING);
  assert.match(await refusalOf(installer.register([macB])), /booted by 02:00:00:00:00:0a, but reports/);
});
