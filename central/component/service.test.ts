import assert from "node:assert/strict";
import { afterEach, beforeEach, test } from "node:test";
import { timestampFromMs, timestampMs } from "@bufbuild/protobuf/wkt";
import { Code, ConnectError } from "@connectrpc/connect";
import { ComponentService as AdminComponentService } from "#gen/metalstack/admin/v2/component_pb.ts";
import { VPNService } from "#gen/metalstack/admin/v2/vpn_pb.ts";
import { InfraRole } from "#gen/metalstack/api/v2/common_pb.ts";
import { ComponentType } from "#gen/metalstack/api/v2/component_pb.ts";
import { ComponentService } from "#gen/metalstack/infra/v2/component_pb.ts";
import { hourMs } from "#lib/durations.ts";
import { expiresByItself } from "../io/testing/test-store.ts";
import { kinds } from "../store/kinds.ts";
import { type TestCentral, testCentral } from "../testing/central.ts";
import { until } from "../testing/until.ts";

let central: TestCentral;
let token: string;
beforeEach(async () => {
  central = await testCentral();
  token = await central.tokenFor("daemon", { infraRole: InfraRole.EDITOR });
});
afterEach(() => central.close());

const refused = (code: Code) => (error: unknown) => error instanceof ConnectError && error.code === code;
const admin = () => central.client(AdminComponentService);
const ping = (identifier: string, more: object = {}) =>
  central.client(ComponentService, token).ping({
    type: ComponentType.METAL_BMC,
    identifier,
    startedAt: timestampFromMs(1_000),
    interval: { seconds: 60n },
    version: { version: "v1.2.3" },
    ...more,
  });

test("a daemon is there once it has said so, under one uuid however often it does", async () => {
  await ping("lab");
  const [first] = (await admin().list({})).components;
  central.clock.advance(hourMs);
  await ping("lab", { startedAt: timestampFromMs(2_000) });
  const { components } = await admin().list({});
  assert.equal(components.length, 1);
  const [second] = components;
  assert.deepEqual([second?.uuid, second?.version?.version], [first?.uuid, "v1.2.3"]);
  assert.equal(timestampMs(second!.reportedAt!) - timestampMs(first!.reportedAt!), hourMs);
  assert.equal(second?.token?.user, "daemon");
  assert.deepEqual((await admin().get({ uuid: first!.uuid })).component, second);
});

test("components are found by type and name", async () => {
  await ping("lab");
  await ping("lab", { type: ComponentType.METAL_CORE });
  await ping("far");
  const of = async (query: object) =>
    (await admin().list({ query })).components.map((c) => `${c.type} ${c.identifier}`);
  assert.deepEqual(await of({ type: ComponentType.METAL_CORE }), [`${ComponentType.METAL_CORE} lab`]);
  assert.equal((await of({ identifier: "lab" })).length, 2);
});

const skip = expiresByItself && "its clock is the world's";
test("a component is forgotten a day after its last word, or when somebody says so", { skip }, async () => {
  await ping("lab");
  await ping("far");
  const { components } = await admin().list({ query: { identifier: "far" } });
  const uuid = components[0]!.uuid;
  assert.equal((await admin().delete({ uuid })).component?.identifier, "far");
  await assert.rejects(admin().delete({ uuid }), refused(Code.NotFound));
  central.clock.advance(24 * hourMs + 1);
  await until("no component", () => central.state.list(kinds.component).length === 0);
  assert.deepEqual((await admin().list({})).components, []);
});

test("a word without type, start or interval is refused, and so is one of somebody else", async () => {
  for (const more of [{ type: 0 }, { startedAt: undefined }, { interval: undefined }])
    await assert.rejects(ping("lab", more), refused(Code.InvalidArgument));
  const stranger = central.client(ComponentService, await central.tokenFor("ann"));
  await assert.rejects(
    stranger.ping({
      type: ComponentType.METAL_BMC,
      identifier: "lab",
      startedAt: timestampFromMs(1),
      interval: { seconds: 9n },
    }),
    refused(Code.PermissionDenied),
  );
});

test("where there is no VPN, whoever asks for it is told", async () => {
  await assert.rejects(central.client(VPNService).listNodes({}), refused(Code.FailedPrecondition));
});
