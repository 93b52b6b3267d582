import assert from "node:assert/strict";
import { describe, type TestContext, test } from "node:test";
import { create, toBinary } from "@bufbuild/protobuf";
import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import { siteTrail } from "#domain/audit/site-trail.ts";
import { ReportEntrySchema } from "#gen/holdfast/sync/v1/sync_pb.ts";
import { AuditPhase, type AuditTrace, AuditTraceSchema } from "#gen/metalstack/api/v2/audit_pb.ts";
import { PartitionSchema } from "#gen/metalstack/api/v2/partition_pb.ts";
import { setUp, until } from "../io/testing/state-rehearsal.ts";
import { kinds } from "../store/kinds.ts";
import { takeAudit } from "../sync/take-audit.ts";
import { keepSiteTraces, partitionOf } from "./site-traces.ts";
import { timeOf } from "./trace.ts";

/** The body of those whose caller nobody knows. */
const stranger = "{}";

/** A later one has the lower uuid, so the oldest is not the first by its id. */
function trace(n: number, body = ""): AuditTrace {
  const uuid = `${`${99_999_999 - n}`.padStart(8, "0")}-0000-4000-8000-000000000000`;
  const user = body === stranger ? "" : "site:alice";
  return create(AuditTraceSchema, { uuid, timestamp: timestampFromMs(n), phase: AuditPhase.REQUEST, user, body });
}

/** A central that knows the partitions lab and far, and what it has of their people. */
async function central(t: TestContext) {
  const { clock, log, open, signal } = await setUp(t);
  const state = await open();
  await state.transact((tx) => {
    for (const id of ["lab", "far"]) tx.put(kinds.partition, id, create(PartitionSchema, { id }));
  });
  void keepSiteTraces({ state, clock, log }, signal);
  return {
    /** Their agent tells of acts, from the first to the last of these numbers. */
    async told(partition: string, first: number, last: number, body = "") {
      for (let at = first; at <= last; at += 100) {
        await state.transact((tx) => {
          for (let n = at; n <= Math.min(at + 99, last); n++) {
            const value = toBinary(AuditTraceSchema, trace(n, body));
            assert.deepEqual(takeAudit(tx, create(ReportEntrySchema, { value }), partition), {});
          }
        });
      }
    },
    /** Numbers of those that are kept, oldest first. */
    kept(partition: string) {
      const rows = state.list(kinds.siteAudit).filter(({ id }) => partitionOf(id) === partition);
      return rows.map(({ value }) => timeOf(value)).sort((a, b) => a - b);
    },
    until: (isSo: () => boolean) => until(clock, isSo),
  };
}

describe("of what people did on a site", () => {
  test("central keeps at least what their agent does, however many come at once, and then the latest", async (t) => {
    const { told, kept, until } = await central(t);
    await told("far", 1, 200);
    await told("lab", 1, siteTrail.traces * 1.1 + 1);
    await until(() => kept("lab").length <= siteTrail.traces);
    const now = kept("lab");
    assert.deepEqual([now.length, now[0], now.at(-1)], [siteTrail.traces, 1002, siteTrail.traces * 1.1 + 1]);
    assert.equal(kept("far").length, 200, "nobody else's gave way");
  });

  test("attempts of strangers give way first, however late they are", async (t) => {
    const { told, kept, until } = await central(t);
    const { traces, strangers } = siteTrail;
    await told("lab", 1, 9_000);
    await told("lab", 9_001, traces * 1.1 + 1, stranger);
    await until(() => kept("lab").length <= traces);
    const now = kept("lab");
    assert.deepEqual(
      [now.length, now[0], now[8_999], now[9_000]],
      [9_000 + strangers, 1, 9_000, traces * 1.1 + 2 - strangers],
    );
  });

  test("central keeps no fewer bytes than their agent, and not many more", async (t) => {
    const { told, kept, until } = await central(t);
    const body = "x".repeat(8192);
    const most = Math.ceil((siteTrail.bytes + siteTrail.traces * 512) / (body.length + 512));
    await told("lab", 1, 2 * most, body);
    await until(() => kept("lab").length < 1.1 * most);
    assert.ok(kept("lab").length * body.length >= siteTrail.bytes, `${kept("lab").length}`);
    assert.equal(kept("lab").at(-1), 2 * most);
  });
});
