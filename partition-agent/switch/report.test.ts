import assert from "node:assert/strict";
import { test } from "node:test";
import { create, fromBinary, toBinary } from "@bufbuild/protobuf";
import { SwitchDesiredSchema } from "#gen/holdfast/state/v1/switch_pb.ts";
import { DesiredItemSchema } from "#gen/holdfast/sync/v1/sync_pb.ts";
import { SwitchPortStatus as Status, SwitchSchema } from "#gen/metalstack/api/v2/switch_pb.ts";
import type { Mac } from "#lib/net/mac.ts";
import { openAgent } from "../testing/site.ts";
import { reportSwitch } from "./report.ts";
import type { SwitchDriver, SwitchEdit, SwitchPort } from "./switch.ts";

const every = 10_000;

/** A site whose switch has the ports p1 and p2, and is looked at every 10 s. */
async function looking(isTrusted = true) {
  const site = await openAgent();
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
      applied.push(...edits);
      for (const edit of edits) if ("port" in edit) ports.set(edit.port, edit.kind === "enable-port");
    },
  };
  const names = { toSwitch: () => undefined, fromSwitch: () => "provisioning" };
  const parts = { driver, names, rack: "r1", managementAddress: "10.0.0.1", isTrusted: () => isTrusted };
  const stop = new AbortController();
  const running = reportSwitch({ ...site.site, ...parts }, stop.signal);
  const settled = async () => {
    for (let i = 0; i < 50; i++) await new Promise(setImmediate);
  };
  await settled();
  let revision = 0n;
  return {
    applied,
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
      const value = toBinary(SwitchDesiredSchema, create(SwitchDesiredSchema, { id: "leaf1", ports: wanted ?? {} }));
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
