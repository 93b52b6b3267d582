import assert from "node:assert/strict";
import { test } from "node:test";
import { create, fromBinary, toBinary } from "@bufbuild/protobuf";
import { Code } from "@connectrpc/connect";
import { SwitchDesiredSchema } from "#gen/holdfast/state/v1/switch_pb.ts";
import { DesiredItemSchema } from "#gen/holdfast/sync/v1/sync_pb.ts";
import { AuditPhase } from "#gen/metalstack/api/v2/audit_pb.ts";
import { SwitchPortStatus as Status, SwitchSchema } from "#gen/metalstack/api/v2/switch_pb.ts";
import type { Mac } from "#lib/net/mac.ts";
import { Seeded } from "#lib/seeded.ts";
import { AuditTrail } from "../site/audit.ts";
import { openAgent } from "../testing/site.ts";
import { reportSwitch } from "./report.ts";
import type { SwitchDriver, SwitchEdit, SwitchPort } from "./switch.ts";

const every = 10_000;

/** A site whose switch has the ports p1 and p2, and is looked at every 10 s. */
async function looking(isTrusted = true) {
  const site = await openAgent();
  let audit = new AuditTrail(site.site);
  const world = { isBroken: false };
  const ports = new Map(["p1", "p2"].map((name) => [name, true]));
  const applied: SwitchEdit[] = [];
  const driver: SwitchDriver = {
    async read() {
      const shown = [...ports].map(([name, enabled]): SwitchPort => {
        return { name, network: "prov", enabled, up: enabled, mac: "02:00:00:00:00:01" as Mac, learnedMacs: [] };
      });
      return { id: "leaf1", ports: shown, networks: [] };
    },
    async apply(edits) {
      if (world.isBroken) throw new Error("the switch does not answer");
      applied.push(...edits);
      for (const edit of edits) if ("port" in edit) ports.set(edit.port, edit.kind === "enable-port");
    },
  };
  const names = { toSwitch: () => undefined, fromSwitch: () => "provisioning" };
  const shared = { driver, names, rack: "r1", managementAddress: "10.0.0.1", isTrusted: () => isTrusted };
  const parts = { ...site.site, ...shared, audit, random: new Seeded(1) };
  let stop = new AbortController();
  let running = reportSwitch(parts, stop.signal);
  const settled = async () => {
    for (let i = 0; i < 50; i++) await new Promise(setImmediate);
  };
  await settled();
  let revision = 0n;
  return {
    applied,
    world,
    disk: site.disk,
    /** Somebody else has done it. */
    switched: (port: string, enabled: boolean) => void ports.set(port, enabled),
    /** Happens while the next effect is written down. */
    onWrite(work: () => Promise<void>) {
      const begun = audit.begun.bind(audit);
      audit.begun = async (...asked) => {
        audit.begun = begun;
        await begun(...asked);
        await work();
      };
    },
    /** What is on record, oldest first: which effect under which epoch, and how it ended. */
    written: () =>
      audit
        .newest(99)
        .toReversed()
        .map(({ uuid, phase, resultCode, body = "" }) => ({ uuid, phase, resultCode, ...JSON.parse(body) })),
    sent: () => site.outbox.pending(100).filter((e) => e.kind === "audit").length,
    /** Its disk outlives it. */
    async restart() {
      await this.end();
      stop = new AbortController();
      audit = new AuditTrail(parts);
      running = reportSwitch({ ...parts, audit, random: new Seeded(2) }, stop.signal);
      await settled();
    },
    reported: () =>
      site.outbox
        .pending(100)
        .filter((e) => e.kind === "switch")
        .map((e) => fromBinary(SwitchSchema, e.value)),
    sequences: () =>
      site.outbox
        .pending(100)
        .filter((e) => e.kind === "switch")
        .map((e) => e.sequence),
    /** Central's word, as of its next revision; undefined: nothing is known there. */
    async tell(wanted: Record<string, Status> | undefined) {
      revision += 1n;
      const value = toBinary(
        SwitchDesiredSchema,
        create(SwitchDesiredSchema, { id: "leaf1", ports: wanted ?? {}, meta: { generation: revision } }),
      );
      const content = wanted ? { value } : { deleted: true };
      const item = create(DesiredItemSchema, { kind: "switch-desired", id: "leaf1", revision, ...content });
      if (revision === 1n) await site.ledger.applySnapshot({ history: "h", revision }, [item]);
      else await site.ledger.applyDelta(revision, [item]);
    },
    async look() {
      site.clock.advance(every);
      await settled();
    },
    async end() {
      stop.abort();
      await running;
    },
  };
}

test("ports are switched as people want it, and those of which nothing was said stay", async () => {
  const at = await looking();
  await at.tell({ p1: Status.DOWN });
  await at.look();
  assert.deepEqual(at.applied, [{ kind: "disable-port", port: "p1" }]);
  await at.look();
  const [shown] = at.reported();
  assert.deepEqual(
    shown?.nics.map((n) => n.state?.actual),
    [Status.DOWN, Status.UP],
  );
  await at.tell({ p1: Status.UP });
  await at.look();
  await at.look();
  assert.deepEqual(at.applied.slice(1), [{ kind: "enable-port", port: "p1" }]);
  await at.end();
});

test("an agent that cannot trust what it remembers switches no port", async () => {
  const at = await looking(false);
  await at.tell({ p1: Status.DOWN });
  await at.look();
  assert.deepEqual(at.applied, []);
  await at.end();
});

test("a switch that central has forgotten is told of again, once for each change of what central says", async () => {
  const at = await looking();
  const first = at.sequences();
  await at.tell({});
  await at.look();
  assert.deepEqual(at.sequences(), first, "it is known, and nothing is new");
  await at.tell(undefined);
  await at.look();
  const again = at.sequences();
  assert.notDeepEqual(again, first);
  await at.look();
  assert.deepEqual(at.sequences(), again);
  await at.end();
});

test("switching a port has an id and an epoch, is on record before it is done and after, and goes to central", async () => {
  const at = await looking();
  await at.tell({ p1: Status.DOWN });
  await at.look();
  const [begin, end, ...more] = at.written();
  const effect = { uuid: begin?.uuid, switch: "leaf1", port: "p1", effect: "disable-port", epoch: "1" };
  assert.deepEqual(begin, { ...effect, phase: AuditPhase.REQUEST, resultCode: undefined });
  assert.deepEqual(end, { ...effect, phase: AuditPhase.RESPONSE, resultCode: 0 });
  assert.deepEqual([more, at.sent()], [[], 2]);
  await at.end();
});

test("a port that cannot be switched is tried again under its id, also by the next life of the agent", async () => {
  const at = await looking();
  at.world.isBroken = true;
  await at.tell({ p1: Status.DOWN });
  await at.look();
  await at.look();
  assert.deepEqual([at.written().length, at.applied], [1, []]);
  await at.restart();
  at.world.isBroken = false;
  await at.look();
  const [begin, end, ...more] = at.written();
  assert.deepEqual([end?.uuid, end?.resultCode, more], [begin?.uuid, 0, []]);
  assert.deepEqual(at.applied, [{ kind: "disable-port", port: "p1" }]);
  await at.end();
});

test("an effect that a former life had begun and the switch shows has ended, and is not repeated", async () => {
  const at = await looking();
  at.world.isBroken = true;
  await at.tell({ p1: Status.DOWN });
  await at.look();
  at.switched("p1", false);
  await at.restart();
  assert.deepEqual([at.written().map((t) => t.resultCode), at.applied], [[undefined, 0], []]);
  await at.end();
});

test("an effect that is stale when its turn comes is not carried out, and what had passed is on record", async () => {
  const at = await looking();
  at.world.isBroken = true;
  await at.tell({ p1: Status.DOWN });
  await at.look();
  await at.tell({ p1: Status.UP });
  at.world.isBroken = false;
  await at.look();
  const [, end, ...more] = at.written();
  assert.equal(
    end?.error,
    "it was decided under epoch 1, the switch is at 2, which wants the port on; port p1 was found switched on",
  );
  assert.deepEqual([end?.resultCode, more, at.applied], [Code.Aborted, [], []]);
  await at.end();
});

test("what changes while an effect is written down leaves it undone", async () => {
  const at = await looking();
  await at.tell({ p1: Status.DOWN });
  at.onWrite(() => at.tell({ p1: Status.UP }));
  await at.look();
  await at.look();
  assert.deepEqual([at.written().at(-1)?.epoch, at.written().at(-1)?.resultCode, at.applied], ["1", Code.Aborted, []]);
  await at.end();
});

test("no port is switched when that cannot be written down", async () => {
  const at = await looking();
  await at.tell({ p1: Status.DOWN });
  at.disk.broken = new Error("disk full");
  await at.look();
  assert.deepEqual([at.written(), at.applied], [[], []]);
  at.disk.broken = undefined;
  await at.look();
  assert.deepEqual([at.written().length, at.applied.length], [2, 1]);
  await at.end();
});
