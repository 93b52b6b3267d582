import assert from "node:assert/strict";
import { afterEach, beforeEach, test } from "node:test";
import { create, toBinary } from "@bufbuild/protobuf";
import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import { BudgetService } from "#gen/holdfast/api/v1/budget_pb.ts";
import { type LocalAnswer, LocalAnswerSchema, LocalIpSchema } from "#gen/holdfast/state/v1/budget_pb.ts";
import {
  type IP,
  IPSchema,
  IPService,
  IPServiceCreateRequestSchema,
  IPServiceCreateResponseSchema,
} from "#gen/metalstack/api/v2/ip_pb.ts";
import { dayMs } from "#lib/durations.ts";
import { messageDigest } from "#lib/message-digest.ts";
import { answerId, keyHeader, replayedHeader } from "#lib/rpc/idempotency-key.ts";
import { methodName } from "../access/rule.ts";
import { kinds } from "../store/kinds.ts";
import { type MachineCentral, machineCentral, machineUuid } from "../testing/machines.ts";
import { reportsTo } from "./testing/reports.ts";

let central: MachineCentral;
beforeEach(async () => {
  central = await machineCentral();
  // What is delegated is for an agent that has reported.
  await central.waiting(1);
});
afterEach(() => central.close());

const method = methodName(IPService.method.create);

/** As an agent answers a call with a key. */
async function answered(
  ip: IP,
  more: { readonly method?: string; readonly ageMs?: number } = {},
): Promise<LocalAnswer> {
  const { project, network } = central;
  const request = create(IPServiceCreateRequestSchema, { project, network });
  return create(LocalAnswerSchema, {
    id: await answerId("admin", method, "k1"),
    answer: {
      ...{ user: "admin", method: more.method ?? method },
      requestDigest: await messageDigest(IPServiceCreateRequestSchema, request),
      answer: toBinary(IPServiceCreateResponseSchema, create(IPServiceCreateResponseSchema, { ip })),
      answeredAt: timestampFromMs(central.clock.wallMs() - (more.ageMs ?? 0)),
    },
  });
}

/** An agent has given an address away, and says so. @returns the address, and why that was rejected */
async function given(more?: Parameters<typeof answered>[1]) {
  const { project, network } = central;
  const wanted = { partition: "lab", project, size: "small", network, machines: 0, addresses: 1 };
  const { budget } = await central.client(BudgetService).grant(wanted);
  const { id = "", free } = budget?.budget ?? {};
  const ip = create(IPSchema, { uuid: machineUuid(903), ip: free?.addresses[0] ?? "", network, project });
  const local = create(LocalIpSchema, { budget: id, ip, answer: await answered(ip, more) });
  const tell = () => reportsTo(central).report("local-ip", ip.ip, LocalIpSchema, local);
  assert.deepEqual(await tell(), []);
  return { ip, tell };
}

/** The same call, at central. */
async function again() {
  const { project, network } = central;
  let isOld = false;
  const onHeader = (headers: Headers) => {
    isOld = headers.get(replayedHeader) === "true";
  };
  const { ip } = await central
    .client(IPService)
    .create({ project, network }, { headers: { [keyHeader]: "k1" }, onHeader });
  return { ip, isOld };
}

test("a call that a partition has answered gets the same answer at central, as long as any", async () => {
  const { ip, tell } = await given();
  const first = await again();
  assert.deepEqual([first.isOld, first.ip?.uuid], [true, ip.uuid]);
  await tell();
  central.clock.advance(dayMs);
  const later = await again();
  assert.deepEqual([later.isOld, later.ip?.uuid === ip.uuid], [false, false]);
});

test("an answer that is over, or to another call than an agent serves, is not kept", async () => {
  await given({ ageMs: dayMs });
  assert.deepEqual(central.state.list(kinds.keptAnswer), []);
  await given({ method: "/metalstack.api.v2.TokenService/Create" });
  assert.deepEqual(central.state.list(kinds.keptAnswer), []);
});

test("what central has answered itself stays its answer", async () => {
  const first = await again();
  await given();
  assert.equal((await again()).ip?.uuid, first.ip?.uuid);
});
