import assert from "node:assert/strict";
import { afterEach, test } from "node:test";
import { create, type DescMethodUnary, type DescService, type MessageInitShape, toBinary } from "@bufbuild/protobuf";
import { Code, ConnectError } from "@connectrpc/connect";
import { PartitionService as HoldfastPartitionService } from "#gen/holdfast/api/v1/partition_pb.ts";
import { KeptAnswerSchema } from "#gen/holdfast/state/v1/answer_pb.ts";
import { FilesystemService as AdminFilesystemService } from "#gen/metalstack/admin/v2/filesystem_pb.ts";
import { ImageService as AdminImageService } from "#gen/metalstack/admin/v2/image_pb.ts";
import { NetworkService as AdminNetworkService } from "#gen/metalstack/admin/v2/network_pb.ts";
import { PartitionService as AdminPartitionService } from "#gen/metalstack/admin/v2/partition_pb.ts";
import { SizeImageConstraintService as AdminSizeImageConstraintService } from "#gen/metalstack/admin/v2/size_imageconstraint_pb.ts";
import { SizeService as AdminSizeService } from "#gen/metalstack/admin/v2/size_pb.ts";
import { SizeReservationService as AdminSizeReservationService } from "#gen/metalstack/admin/v2/size_reservation_pb.ts";
import { TenantService as AdminTenantService } from "#gen/metalstack/admin/v2/tenant_pb.ts";
import { TokenService as AdminTokenService } from "#gen/metalstack/admin/v2/token_pb.ts";
import { ProjectRole, TenantRole } from "#gen/metalstack/api/v2/common_pb.ts";
import { IPService } from "#gen/metalstack/api/v2/ip_pb.ts";
import { MachineService } from "#gen/metalstack/api/v2/machine_pb.ts";
import { NetworkService, NetworkType } from "#gen/metalstack/api/v2/network_pb.ts";
import { ProjectService } from "#gen/metalstack/api/v2/project_pb.ts";
import { SizeConstraintType } from "#gen/metalstack/api/v2/size_pb.ts";
import { TenantService } from "#gen/metalstack/api/v2/tenant_pb.ts";
import { TokenService } from "#gen/metalstack/api/v2/token_pb.ts";
import { dayMs } from "#lib/durations.ts";
import { systemRandom } from "#lib/io/system-random.ts";
import { silentLog } from "#lib/log.ts";
import { keyHeader, replayedHeader } from "#lib/rpc/idempotency-key.ts";
import { hasReason } from "#lib/rpc/refusal-to-connect.ts";
import { VirtualClock } from "#lib/virtual-clock.ts";
import { methodName } from "../access/rule.ts";
import { expiresByItself, testStore } from "../io/testing/test-store.ts";
import { services } from "../services.ts";
import { kinds } from "../store/kinds.ts";
import type { Store } from "../store/store.ts";
import { type TestCentral, testCentral } from "../testing/central.ts";
import { aLayout, type MachineCentral, machineCentral } from "../testing/machines.ts";
import { until } from "../testing/until.ts";
import { keptBytesMax } from "./kept-answers.ts";
import { takesKey } from "./methods.ts";

const closing: (() => Promise<void>)[] = [];
afterEach(async () => {
  for (const close of closing.splice(0).reverse()) await close();
});

const withKey = (key: string) => ({ headers: { [keyHeader]: key } });
const refusedFor = (code: Code, reason: string) => (error: unknown) =>
  error instanceof ConnectError && error.code === code && hasReason(error, reason);

/** Two centrals over one store, on one clock. */
async function twoCentrals() {
  const clock = new VirtualClock();
  const { store, close } = testStore({ clock, random: systemRandom, log: silentLog });
  closing.push(close);
  const open = async (over: Store = store) => {
    const central = await testCentral(undefined, { store: over, clock });
    closing.push(central.close);
    return central;
  };
  const [one, other] = [await open(), await open()];
  await one.client(AdminTenantService).create({ name: "acme" });
  return { clock, store, open, one, other };
}

const newProject = ({ client }: Pick<TestCentral, "client">, name: string, key: string, token?: string) =>
  client(ProjectService, token).create({ login: "acme", name, description: "" }, withKey(key));

/** A token that may create projects, for longer than a key is good. */
async function lasting({ identity }: TestCentral): Promise<string> {
  const grants = { tenantRoles: { acme: TenantRole.OWNER } };
  return (await identity.issue({ user: "admin", lifetimeMs: 3 * dayMs, ...grants })).secret.reveal();
}

const projects = (central: TestCentral) => central.state.list(kinds.project).length;

/** Requests that make something, by method; each can be carried out once. */
const requests = (central: MachineCentral): ReadonlyMap<string, [DescMethodUnary, object]> => {
  const { project } = central;
  const of = <M extends DescMethodUnary>(method: M, request: MessageInitShape<M["input"]>) =>
    [methodName(method), [method, request as object]] as [string, [DescMethodUnary, object]];
  const machine = {
    project,
    name: "web",
    image: "debian-13",
    partition: "lab",
    size: "small",
    userdata: "IyEvYmluL3NoCg==",
  };
  return new Map([
    of(AdminPartitionService.method.create, { partition: { id: "fra" } }),
    of(AdminSizeService.method.create, {
      size: { id: "large", constraints: [{ type: SizeConstraintType.CORES, min: 9n, max: 12n }] },
    }),
    of(AdminSizeImageConstraintService.method.create, {
      size: "small",
      imageConstraints: [{ image: "debian", semverMatch: ">= 12" }],
    }),
    of(AdminSizeReservationService.method.create, {
      sizeReservation: { name: "kept", project, size: "small", partitions: ["lab"], amount: 1 },
    }),
    of(AdminImageService.method.create, { image: { id: "debian-14.0.1", url: "http://images.example/debian" } }),
    of(AdminFilesystemService.method.create, { filesystemLayout: aLayout("other", { debian: "< 13" }) }),
    of(AdminNetworkService.method.create, {
      id: "internet",
      type: NetworkType.EXTERNAL,
      vrf: 9,
      prefixes: ["192.0.2.0/24"],
    }),
    of(NetworkService.method.create, { project, partition: "lab" }),
    of(IPService.method.create, { project, network: central.network }),
    of(MachineService.method.create, {
      ...machine,
      networks: [{ network: central.network }],
      labels: { labels: { b: "2", a: "1" } },
    }),
    of(AdminTenantService.method.create, { name: "beta" }),
    of(AdminTenantService.method.addMember, { tenant: "acme", member: "eve", role: TenantRole.VIEWER }),
    of(TenantService.method.create, { name: "mine" }),
    of(TenantService.method.addMember, { login: "acme", member: "bob", role: TenantRole.VIEWER }),
    of(TenantService.method.invite, { login: "acme", role: TenantRole.VIEWER }),
    of(AdminTokenService.method.create, { user: "eve", tokenCreateRequest: { description: "hers" } }),
    of(TokenService.method.create, { description: "mine" }),
    of(TokenService.method.refresh, {}),
    of(ProjectService.method.create, { login: "acme", name: "second" }),
    of(ProjectService.method.addMember, { project, member: "bob", role: ProjectRole.VIEWER }),
    of(ProjectService.method.invite, { project, role: ProjectRole.VIEWER }),
  ]);
};

test("every method that makes something anew makes it once, and gives the same answer again", async () => {
  const central = await machineCentral();
  closing.push(central.close);
  await central.waiting(3);
  const taken = services.flatMap((s) => s.methods).filter(takesKey);
  const table = requests(central);
  // That central has no certificate to show; see join.test.ts.
  const elsewhere = methodName(HoldfastPartitionService.method.createJoinToken);
  assert.deepEqual([...table.keys(), elsewhere].sort(), taken.map(methodName).sort());
  for (const [name, [method, request]] of table) {
    const call = () => callOf(central, method, request, "one");
    const first = await call().catch((error: unknown) => assert.fail(`${name}: ${error}`));
    const { revision } = central.state;
    const second = await call();
    assert.deepEqual([first.replayed, second.replayed], [false, true], name);
    assert.deepEqual(second.bytes, first.bytes, name);
    assert.equal(central.state.revision, revision, name);
  }
});

async function callOf(central: TestCentral, method: DescMethodUnary, request: object, key: string) {
  let replayed = false;
  const onHeader = (headers: Headers) => {
    replayed = headers.get(replayedHeader) === "true";
  };
  // The clients of all services are alike; which one this is is known only here.
  const client = central.client(method.parent as DescService) as Record<
    string,
    (...given: unknown[]) => Promise<never>
  >;
  const answer = await client[method.localName]?.(request, { ...withKey(key), onHeader });
  return { replayed, bytes: toBinary(method.output, answer as never) };
}

test("at another central of the store, and at one that is started anew, the same key gets the same answer", async () => {
  const { one, other, open } = await twoCentrals();
  const { project } = await newProject(one, "first", "k");
  assert.deepEqual((await newProject(other, "first", "k", one.adminToken)).project, project);
  await one.close();
  const again = await open();
  assert.deepEqual((await newProject(again, "first", "k", one.adminToken)).project, project);
  assert.equal(projects(again), 1);
});

test("a key is good for 24 hours to the millisecond", async () => {
  const { one, clock } = await twoCentrals();
  const token = await lasting(one);
  const { project } = await newProject(one, "first", "k", token);
  clock.advance(dayMs - 1);
  assert.equal((await newProject(one, "first", "k", token)).project?.uuid, project?.uuid);
  clock.advance(1);
  assert.notEqual((await newProject(one, "first", "k", token)).project?.uuid, project?.uuid);
  assert.equal(projects(one), 2);
});

test("of many calls at once with one key, at two centrals, one is carried out and all get its answer", async () => {
  const { one, other } = await twoCentrals();
  const calls = Array.from({ length: 20 }, (_, n) =>
    newProject(n % 2 === 0 ? one : other, "first", "k", one.adminToken),
  );
  const uuids = new Set((await Promise.all(calls)).map(({ project }) => project?.uuid));
  assert.equal(uuids.size, 1);
  assert.equal(projects(one), 1);
});

test("who lost to the same call gets its answer, though what it made would be refused", async () => {
  const { one, other } = await twoCentrals();
  const create = ({ client }: TestCentral) =>
    client(AdminPartitionService, one.adminToken).create({ partition: { id: "fra" } }, withKey("k"));
  const [a, b] = await Promise.all([create(one), create(other)]);
  assert.deepEqual(a, b);
});

test("another request under a used key is refused; another caller's and another method's keys are others", async () => {
  const { one } = await twoCentrals();
  await newProject(one, "first", "k");
  await assert.rejects(newProject(one, "second", "k"), refusedFor(Code.AlreadyExists, "IDEMPOTENCY_KEY_REUSED"));
  await one.client(AdminTenantService).addMember({ tenant: "acme", member: "bob", role: TenantRole.OWNER });
  const bob = await one.tokenFor("bob");
  await newProject(one, "second", "k", bob);
  await one.client(TenantService).create({ name: "mine" }, withKey("k"));
  assert.equal(projects(one), 2);
});

test("the order of labels is not part of a request", async () => {
  const { one } = await twoCentrals();
  const create = (labels: Record<string, string>) =>
    one.client(ProjectService).create({ login: "acme", name: "first", labels: { labels } }, withKey("k"));
  await create({ a: "1", b: "2" });
  await create({ b: "2", a: "1" });
  assert.equal(projects(one), 1);
});

test("refusals are not kept", async () => {
  const { one } = await twoCentrals();
  const create = () => one.client(ProjectService).create({ login: "beta", name: "first" }, withKey("k"));
  await assert.rejects(create, (error) => ConnectError.from(error).code === Code.NotFound);
  await one.client(AdminTenantService).create({ name: "beta" });
  await create();
  assert.equal(projects(one), 1);
});

test("a key does not open what the caller may not do any more", async () => {
  const { one } = await twoCentrals();
  await one.client(AdminTenantService).addMember({ tenant: "acme", member: "bob", role: TenantRole.OWNER });
  const bob = await one.tokenFor("bob");
  await newProject(one, "first", "k", bob);
  await one.client(AdminTenantService).removeMember({ tenant: "acme", member: "bob" });
  await assert.rejects(
    newProject(one, "first", "k", bob),
    (error) => ConnectError.from(error).code === Code.PermissionDenied,
  );
});

test("a key is refused where it is misshapen, and where nothing is made", async () => {
  const { one } = await twoCentrals();
  for (const key of ["", "a b", "ü", "x".repeat(129)]) {
    await assert.rejects(newProject(one, "first", key), refusedFor(Code.InvalidArgument, "IDEMPOTENCY_KEY_INVALID"));
  }
  await newProject(one, "first", "x".repeat(128));
  const notTaken = refusedFor(Code.InvalidArgument, "IDEMPOTENCY_KEY_NOT_TAKEN");
  await assert.rejects(one.client(ProjectService).list({}, withKey("k")), notTaken);
});

test("answers with a secret are given again, and can be read by nobody who has only the store", async () => {
  const { one, other, store } = await twoCentrals();
  const create = ({ client }: TestCentral, key: string) =>
    client(TokenService, one.adminToken).create({ description: "mine", permissions: [] }, withKey(key));
  const first = await create(one, "k");
  assert.deepEqual(await create(other, "k"), first);
  assert.notEqual((await create(one, "k2")).secret, first.secret);
  const text = new TextDecoder("latin1");
  const stored = (await store.list("")).items.map(({ value }) => text.decode(value)).join("\n");
  assert.ok(!stored.includes(first.secret.slice(-40)));
  assert.ok(!stored.includes(btoa(first.secret).slice(-40, -2)));
  const sealed = one.state.list(kinds.keptAnswer).flatMap(({ value }) => value.sealedAnswer || []);
  assert.equal(sealed.length, 2);
  await assert.rejects(one.identity.seals.open("answer to an idempotency key", sealed[0] ?? ""), {
    reason: "SEAL_BROKEN",
  });
});

test("a caller's keys are refused when their answers would take too much, until the oldest are a day old", async () => {
  const { one, clock } = await twoCentrals();
  const token = await lasting(one);
  const answer = new Uint8Array(1_000_000);
  const full = Math.floor(keptBytesMax.ofOneCaller / answer.length);
  for (let n = 0; n < full; n++) {
    const kept = create(KeptAnswerSchema, { user: "admin", answer });
    await one.state.transact((tx) => tx.put(kinds.keptAnswer, `${n}`, kept, { ttlMs: dayMs }));
  }
  await assert.rejects(
    newProject(one, "first", "k", token),
    refusedFor(Code.ResourceExhausted, "IDEMPOTENCY_KEYS_FULL"),
  );
  assert.equal(projects(one), 0);
  await one.client(ProjectService, token).create({ login: "acme", name: "first" });
  if (expiresByItself) return;
  clock.advance(dayMs);
  await until("the expiry of what was kept", () => one.state.list(kinds.keptAnswer).length === 0);
  await newProject(one, "second", "k", token);
  assert.equal(projects(one), 2);
});
