import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import { MachineDesiredSchema, MachineObservedSchema } from "#gen/holdfast/state/v1/machine_pb.ts";
import {
  MachineProvisioningEventState as Flag,
  MachineLiveliness as Liveliness,
  MachineIssueSeverity as Severity,
  MachineIssueType as Type,
} from "#gen/metalstack/api/v2/machine_pb.ts";
import type { MachineView } from "../placement.ts";
import { asnTag } from "../tags.ts";
import { issueContext, issuesOf } from "./issues.ts";

type Desired = Omit<MessageInitShape<typeof MachineDesiredSchema>, "$typeName">;
type Observed = Omit<MessageInitShape<typeof MachineObservedSchema>, "$typeName">;

const minute = 60_000;
const nowMs = Date.UTC(2026, 5, 1);
const at = (agoMs: number) => timestampFromMs(nowMs - agoMs);
const { MAJOR, MINOR, CRITICAL } = Severity;

const well: Observed = {
  liveliness: Liveliness.ALIVE,
  events: {},
  bmc: { mac: "00:00:00:00:00:01", address: "10.0.0.1" },
  bmcUpdatedAt: at(minute),
};
const machine = (observed: Observed = {}, desired: Desired = {}): MachineView => ({
  desired: create(MachineDesiredSchema, { uuid: "m", partition: "p", ...desired }),
  observed: create(MachineObservedSchema, { ...well, ...observed }),
});
const withAsn = (asn: string): Desired => ({ allocation: { meta: { labels: { labels: { [asnTag]: asn } } } } });
const find = (m: MachineView, others: readonly MachineView[] = [], lastErrorMs?: number) =>
  issuesOf(m, issueContext([m, ...others], nowMs, lastErrorMs)).map((i) => [i.type, i.severity, i.details]);

test("a machine that is well has no issues", () => assert.deepEqual(find(machine()), []));

describe("a machine has the issue", () => {
  const day = 24 * 60 * minute;
  const error = (agoMs: number) => ({ events: { lastErrorEvent: { message: "bad", time: at(agoMs) } } });
  const other = machine({ bmc: { mac: "x", address: "10.0.0.1" } }, { uuid: "o", ...withAsn("7") });
  const rows: readonly [string, MachineView, readonly [Type, Severity, string][]][] = [
    ["no partition", machine({}, { partition: "" }), [[Type.NO_PARTITION, MAJOR, ""]]],
    ["dead", machine({ liveliness: Liveliness.DEAD }), [[Type.LIVELINESS_DEAD, MAJOR, ""]]],
    ["unknown", machine({ liveliness: Liveliness.UNKNOWN }), [[Type.LIVELINESS_UNKNOWN, MAJOR, ""]]],
    ["no liveliness", machine({ liveliness: Liveliness.UNSPECIFIED }), [[Type.LIVELINESS_NOT_AVAILABLE, MINOR, ""]]],
    [
      "failed reclaim",
      machine({ events: { state: Flag.FAILED_RECLAIM } }),
      [[Type.FAILED_MACHINE_RECLAIM, CRITICAL, ""]],
    ],
    [
      "crash loop, with the last failure",
      machine({ events: { state: Flag.CRASHLOOP }, lastFailure: "wipe: sda" }),
      [[Type.CRASH_LOOP, MAJOR, "wipe: sda"]],
    ],
    ["erroneous event, for a week", machine(error(7 * day)), [[Type.LAST_EVENT_ERROR, MINOR, "bad"]]],
    ["erroneous event, no longer", machine(error(7 * day + 1)), []],
    ["no MAC of its BMC", machine({ bmc: { address: "10.0.0.1" } }), [[Type.BMC_WITHOUT_MAC, MAJOR, ""]]],
    ["no address of its BMC", machine({ bmc: { mac: "x" } }), [[Type.BMC_WITHOUT_IP, MAJOR, ""]]],
    ["old news of its BMC", machine({ bmcUpdatedAt: at(20 * minute + 1) }), [[Type.BMC_INFO_OUTDATED, MAJOR, ""]]],
    ["news of its BMC that are just in time", machine({ bmcUpdatedAt: at(20 * minute) }), []],
    [
      "ASN and BMC address of another",
      machine({}, withAsn("7")),
      [
        [Type.ASN_UNIQUENESS, MINOR, "7 is also machine o's"],
        [Type.BMC_NON_DISTINCT_IP, MAJOR, "10.0.0.1 is also machine o's"],
      ],
    ],
  ];
  for (const [name, m, expected] of rows) {
    const others = expected.some(([type]) => type === Type.ASN_UNIQUENESS) ? [other] : [];
    test(name, () => assert.deepEqual(find(m, others), expected));
  }

  test("no event log, and all that hangs on reports, when it was never seen", () => {
    const unseen: MachineView = { desired: machine().desired, observed: undefined };
    assert.deepEqual(
      find(unseen).map(([type]) => type),
      [Type.LIVELINESS_NOT_AVAILABLE, Type.BMC_WITHOUT_MAC, Type.BMC_WITHOUT_IP, Type.NO_EVENT_CONTAINER],
    );
  });
});

test("the caller says how long an erroneous event counts", () => {
  const m = machine({ events: { lastErrorEvent: { message: "bad", time: at(2 * minute) } } });
  assert.deepEqual([find(m, [], minute).length, find(m, [], 2 * minute).length], [0, 1]);
});

test("an address that very many share names a few of them and counts the rest", () => {
  const others = Array.from({ length: 5_000 }, (_, i) => machine({}, { uuid: `o${i}` }));
  const [[, , details] = []] = find(machine(), others);
  assert.match(`${details}`, /^10\.0\.0\.1 is also machine o0, .*, o9 and 4990 more's$/);
});

test("every issue says in a sentence what it is, and where to read on", () => {
  const [issue] = issuesOf(machine({}, { partition: "" }), issueContext([], nowMs));
  assert.deepEqual(
    [issue?.description, issue?.referenceUrl],
    ["the machine has no partition", "docs/machine-issues.md#no-partition"],
  );
});
