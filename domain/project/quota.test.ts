import assert from "node:assert/strict";
import { test } from "node:test";
import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { QuotaLimitsSchema } from "#gen/holdfast/api/v1/quota_pb.ts";
import { type Amounts, overQuota } from "./quota.ts";

type Limits = Omit<MessageInitShape<typeof QuotaLimitsSchema>, "$typeName">;

const none: Amounts = { machines: 0, ips: 0, networks: 0 };
const over = (limits: Limits, before: Partial<Amounts>, after: Partial<Amounts>) =>
  overQuota(create(QuotaLimitsSchema, limits), { ...none, ...before }, { ...none, ...after });

const rows: readonly [string, Limits, Partial<Amounts>, Partial<Amounts>, string | undefined][] = [
  ["without limits there is no end", {}, {}, { machines: 1e9 }, undefined],
  ["the limit itself may be reached", { machines: 2 }, { machines: 1 }, { machines: 2 }, undefined],
  [
    "beyond it is refused with the figures",
    { machines: 2, ips: 9 },
    { machines: 2, ips: 2 },
    { machines: 3, ips: 4 },
    "it has 2 machines of the 2 that its quota allows, and wants 1 more",
  ],
  [
    "each is counted by itself",
    { machines: 5, ips: 3 },
    { machines: 1, ips: 2 },
    { machines: 2, ips: 4 },
    "it has 2 addresses of the 3 that its quota allows, and wants 2 more",
  ],
  [
    "0 is a limit",
    { networks: 0 },
    {},
    { networks: 1 },
    "it has 0 networks of the 0 that its quota allows, and wants 1 more",
  ],
  ["what is too much already may stay", { ips: 1 }, { ips: 5 }, { ips: 5, machines: 1 }, undefined],
  ["and become less", { ips: 1 }, { ips: 5 }, { ips: 4 }, undefined],
];
for (const [name, limits, before, after, expected] of rows)
  test(name, () => assert.equal(over(limits, before, after), expected));
