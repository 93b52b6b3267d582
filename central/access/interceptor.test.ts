import assert from "node:assert/strict";
import { test } from "node:test";
import { Code, ConnectError, createClient, createRouterTransport } from "@connectrpc/connect";
import { MachineService as HoldfastMachineService } from "#gen/holdfast/api/v1/machine_pb.ts";
import { ProjectRole } from "#gen/metalstack/api/v2/common_pb.ts";
import { VersionService } from "#gen/metalstack/api/v2/version_pb.ts";
import { implement } from "../services.ts";
import { testCentral } from "../testing/central.ts";
import { callerOf } from "./caller.ts";
import { access } from "./interceptor.ts";

const project = "0f86b3b0-5a8c-4a0e-9d5a-3a0f6a0f9d11";
const refusedWith = (code: Code) => (e: unknown) => e instanceof ConnectError && e.code === code;

const watching = () => {
  const seen: { users: string[]; next: () => void } = { users: [], next: () => {} };
  const implementation = implement(HoldfastMachineService, {
    async *watch(_request, context) {
      seen.users.push(callerOf(context).user);
      while (!context.signal.aborted) {
        yield { initialDone: true };
        await new Promise<void>((resolve) => {
          seen.next = resolve;
          context.signal.addEventListener("abort", () => resolve());
        });
      }
    },
  });
  return { seen, implementation };
};

test("a stream is decided before its handler runs: without a token, and with one for another project", async () => {
  const { seen, implementation } = watching();
  const central = await testCentral(() => [implementation]);
  const first = (client: ReturnType<typeof central.client<typeof HoldfastMachineService>>) =>
    client.watch({ project })[Symbol.asyncIterator]().next();
  await assert.rejects(first(central.anonymous(HoldfastMachineService)), refusedWith(Code.Unauthenticated));
  const stranger = await central.tokenFor("ann", { projectRoles: { [project]: ProjectRole.OWNER } });
  await assert.rejects(first(central.client(HoldfastMachineService, stranger)), refusedWith(Code.PermissionDenied));
  assert.deepEqual(seen.users, []);
  assert.equal((await first(central.client(HoldfastMachineService))).value?.initialDone, true);
  assert.deepEqual(seen.users, ["admin"]);
  seen.next();
  await central.close();
});

test("a stream ends when its token is revoked", async () => {
  const { seen, implementation } = watching();
  const central = await testCentral(() => [implementation]);
  const { token, secret } = await central.identity.issue({ user: "admin", lifetimeMs: 3_600_000, adminRole: 1 });
  const stream = central.client(HoldfastMachineService, secret.reveal()).watch({})[Symbol.asyncIterator]();
  assert.equal((await stream.next()).value?.initialDone, true);
  await central.identity.revoke(token.uuid, "admin");
  const next = stream.next();
  await new Promise((resolve) => setImmediate(resolve));
  seen.next();
  await assert.rejects(next, refusedWith(Code.Unauthenticated));
  await central.close();
});

test("a method that the table does not know is open to nobody", async () => {
  const central = await testCentral();
  const interceptor = access({
    rules: new Map(),
    open: new Set(),
    authenticate: ({ authorization }) => central.identity.callerOf(authorization),
  });
  const transport = createRouterTransport((router) => router.service(VersionService, { get: () => ({}) }), {
    router: { interceptors: [...central.api.interceptors.slice(0, 1), interceptor] },
  });
  const headers = { authorization: `Bearer ${central.adminToken}` };
  await assert.rejects(
    createClient(VersionService, transport).get({}, { headers }),
    refusedWith(Code.PermissionDenied),
  );
  await central.close();
});
