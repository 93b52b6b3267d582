import assert from "node:assert/strict";
import { afterEach, beforeEach, describe, test } from "node:test";
import { setImmediate as turn } from "node:timers/promises";
import { create, toJsonString } from "@bufbuild/protobuf";
import { Code, ConnectError } from "@connectrpc/connect";
import { BudgetService } from "#gen/holdfast/api/v1/budget_pb.ts";
import { QuotaService } from "#gen/holdfast/api/v1/quota_pb.ts";
import { ThingSchema } from "#gen/holdfast/api/v1/thing_pb.ts";
import { WatchService } from "#gen/holdfast/api/v1/watch_pb.ts";
import { ImageService as AdminImageService } from "#gen/metalstack/admin/v2/image_pb.ts";
import { TokenService as AdminTokenService } from "#gen/metalstack/admin/v2/token_pb.ts";
import { OptimisticLockingStrategy as Lock, ProjectRole, UpdateMetaSchema } from "#gen/metalstack/api/v2/common_pb.ts";
import { MachineService } from "#gen/metalstack/api/v2/machine_pb.ts";
import { ProjectMemberSchema, ProjectService } from "#gen/metalstack/api/v2/project_pb.ts";
import { TenantService } from "#gen/metalstack/api/v2/tenant_pb.ts";
import { TokenService } from "#gen/metalstack/api/v2/token_pb.ts";
import { dayMs } from "#lib/durations.ts";
import { hasReason } from "#lib/rpc/refusal-to-connect.ts";
import { membershipId } from "../identity/membership.ts";
import { kinds } from "../store/kinds.ts";
import { aWaiting, type MachineCentral, machineCentral, machineUuid } from "../testing/machines.ts";
import { thingKinds } from "../things/kinds.ts";
import { heartbeatMs } from "./service.ts";
import { WatchReader } from "./testing/reader.ts";

let central: MachineCentral;
let leave: AbortController;
beforeEach(async () => {
  central = await machineCentral();
  leave = new AbortController();
});
afterEach(async () => {
  leave.abort();
  await central.close();
});

const watch = (request: object, token?: string) =>
  new WatchReader(central.client(WatchService, token).watch(request, { signal: leave.signal }));
const refusedFor = (code: Code, reason: string) => (error: unknown) =>
  error instanceof ConnectError && error.code === code && hasReason(error, reason);

const image = (id: string) =>
  central.client(AdminImageService).create({ image: { id, url: "http://images.example/debian" } });
const renamed = (id: string, name: string) =>
  central
    .client(AdminImageService)
    .update({ id, name, updateMeta: create(UpdateMetaSchema, { lockingStrategy: Lock.SERVER }) });
const member = (project: string, user: string, role: ProjectRole | undefined) =>
  central.state.transact((tx) => {
    const id = membershipId(project, user);
    if (role === undefined) tx.delete(kinds.projectMember, id);
    else tx.put(kinds.projectMember, id, create(ProjectMemberSchema, { id: user, role }));
  });
const uuid = machineUuid(1);

describe("a watch", () => {
  test("begins with what is there and a bookmark, and then tells each change", async () => {
    const images = watch({ kinds: ["image"] });
    assert.deepEqual(await images.toBookmark(), ["put image debian-13.0.1", "put image debian-13.0.2"]);
    assert.deepEqual(images.position?.history, central.state.history);
    await image("debian-14.0.1");
    assert.deepEqual(await images.toBookmark(), ["put image debian-14.0.1"]);
    await renamed("debian-14.0.1", "next");
    assert.deepEqual(await images.toBookmark(), ["put image debian-14.0.1"]);
    const { value, revision } = images.things.at(-1) ?? {};
    assert.deepEqual([value?.case === "image" && value.value.name, revision], ["next", images.position?.revision]);
    await central.client(AdminImageService).delete({ id: "debian-14.0.1" });
    let told = await images.toBookmark();
    if (!told.includes("deleted image debian-14.0.1")) told = await images.toBookmark(); // the mark before it was told by itself
    assert.deepEqual(told, ["deleted image debian-14.0.1"]);
  });

  test("of machines tells what either half changes", async () => {
    await central.waiting(1);
    const machines = watch({ kinds: ["machine"] });
    assert.deepEqual(await machines.toBookmark(), [`put machine ${uuid}`]);
    await central.report({ ...aWaiting(uuid), rack: "rack9" });
    await machines.toBookmark();
    await central.create({ name: "web" });
    await machines.toBookmark();
    const seen = machines.things.map(({ value }) => (value.case === "machine" ? value.value : undefined));
    assert.deepEqual(
      seen.map((machine) => [machine?.rack, machine?.allocation?.name]),
      [
        ["rack1", undefined],
        ["rack9", undefined],
        ["rack9", "web"],
      ],
    );
  });

  test("without names shows every kind that the caller may see", async () => {
    await central.waiting(1);
    const { project, network } = central;
    await central.client(QuotaService).set({ project, limits: { machines: 1 } });
    await central.client(BudgetService).grant({ partition: "lab", project, size: "small", network, machines: 1 });
    const all = watch({});
    const seen = new Set((await all.toBookmark()).map((event) => event.split(" ")[1]));
    const empty = ["component", "ip", "size-image-constraint", "size-reservation", "switch"];
    assert.deepEqual(
      [...seen].sort(),
      thingKinds
        .map((kind) => kind.name)
        .filter((name) => !empty.includes(name))
        .sort(),
    );
  });

  test("can be narrowed to ids and to labels, and tells what does not fit any more as deleted", async () => {
    const labelled = (labels: Record<string, string>) => ({ labels: { labels } });
    const projects = central.client(ProjectService);
    const { project } = await projects.create({ login: "acme", name: "blue", ...labelled({ colour: "blue" }) });
    const blue = watch({ kinds: ["project"], query: { labels: { colour: "blue" } } });
    assert.deepEqual(await blue.toBookmark(), [`put project ${project?.uuid}`]);
    const other = watch({ kinds: ["project"], query: { ids: [central.project] } });
    assert.deepEqual(await other.toBookmark(), [`put project ${central.project}`]);
    await projects.update({
      project: project?.uuid ?? "",
      updateMeta: { lockingStrategy: Lock.SERVER },
      labels: { strategy: { case: "replace", value: { labels: { colour: "red" } } } },
    });
    assert.equal(await blue.next(), `deleted project ${project?.uuid}`);
    await projects.update({ project: central.project, name: "renamed", updateMeta: { lockingStrategy: Lock.SERVER } });
    assert.deepEqual(await other.toBookmark(), [`put project ${central.project}`]);
  });

  test("refuses a kind that there is not", async () => {
    await assert.rejects(watch({ kinds: ["invite"] }).next(), refusedFor(Code.InvalidArgument, "UNKNOWN_KIND"));
  });

  test("on which nothing happens gives a bookmark every 10 seconds", async () => {
    const images = watch({ kinds: ["image"] });
    await images.toBookmark();
    const next = images.next();
    for (let i = 0; i < 20; i++) await turn();
    central.clock.advance(heartbeatMs);
    assert.equal(await next, "bookmark");
  });

  test("told slowly tells the last of many changes once", async () => {
    const images = watch({ kinds: ["image"] });
    await images.toBookmark();
    for (let i = 0; i < 50; i++) await renamed("debian-13.0.1", `name ${i}`);
    await renamed("debian-13.0.2", "other");
    const told: string[] = [];
    while (!told.includes("put image debian-13.0.2")) told.push(...(await images.toBookmark()));
    assert.ok(told.length <= 4, told.join(", "));
    const names = images.things.flatMap(({ value }) => (value.case === "image" ? value.value.name : []));
    assert.deepEqual(names.slice(-2), ["name 49", "other"]);
  });
});

describe("who watches", () => {
  test("sees what is of the own projects, what comes into them and what leaves them", async () => {
    await central.waiting(2);
    await central.create({ uuid });
    const other = await central.newProject("other");
    const machines = watch({ kinds: ["machine", "network", "project"] }, central.ownerToken);
    assert.deepEqual(await machines.toBookmark(), [
      `put machine ${uuid}`,
      `put network ${central.network}`,
      `put project ${central.project}`,
    ]);
    await central.childNetwork(other);
    await central.report(aWaiting(machineUuid(2)));
    await central.client(MachineService).delete({ uuid, project: central.project });
    assert.equal(await machines.next(), `deleted machine ${uuid}`);
  });

  test("is shown what networks there are to build upon, when a project is named", async () => {
    const networks = watch({ kinds: ["network"], query: { project: central.project } }, central.ownerToken);
    assert.deepEqual((await networks.toBookmark()).sort(), [`put network ${central.network}`, "put network super"]);
  });

  test("and gains or loses a membership gains or loses what is of it", async () => {
    const other = await central.newProject("other");
    const projects = watch({ kinds: ["project"] }, central.ownerToken);
    assert.deepEqual(await projects.toBookmark(), [`put project ${central.project}`]);
    await member(other, "ann", ProjectRole.VIEWER);
    assert.equal(await projects.next(), `put project ${other}`);
    await member(central.project, "ann", undefined);
    const told = [await projects.next(), await projects.next()];
    assert.ok(told.includes(`deleted project ${central.project}`), told.join(", "));
  });

  test("a project that is closed to them is told so, at the beginning and when that changes", async () => {
    const closed = (error: unknown) => error instanceof ConnectError && error.code === Code.PermissionDenied;
    const other = await central.newProject("other");
    await assert.rejects(watch({ query: { project: other } }, central.ownerToken).next(), closed);
    await assert.rejects(watch({ query: { tenant: "provider" } }, central.ownerToken).next(), closed);
    const mine = watch({ kinds: ["machine"], query: { project: central.project } }, central.ownerToken);
    await mine.toBookmark();
    await member(central.project, "ann", undefined);
    await assert.rejects(mine.toBookmark(), closed);
  });

  test("with a token that is revoked or ends sees nothing more", async () => {
    const { secret, token } = await central
      .client(TokenService)
      .create({ description: "mine", expires: { seconds: 3600n }, adminRole: 1 });
    const images = watch({ kinds: ["image"] }, secret);
    const others = watch({ kinds: ["image"] }, await shortToken());
    await images.toBookmark();
    await others.toBookmark();
    await central.client(TokenService).revoke({ uuid: token?.uuid ?? "" });
    const isOver = (error: unknown) => error instanceof ConnectError && error.code === Code.Unauthenticated;
    await assert.rejects(images.next(), isOver);
    const next = others.next();
    for (let i = 0; i < 20; i++) await turn();
    central.clock.advance(dayMs);
    await assert.rejects(next, isOver);
  });

  test("sees of tokens the own ones, and administrators all", async () => {
    const uuids = async (token?: string) => (await watch({ kinds: ["token"] }, token).toBookmark()).length;
    assert.equal(await uuids(central.ownerToken), 1);
    assert.equal(await uuids(), central.state.list(kinds.token).length);
  });

  test("never sees a secret", async () => {
    await central.waiting(1);
    const canary = "Y2FuYXJ5LWluLXVzZXJkYXRh";
    await central.create({ userdata: canary });
    await central.report({ ...aWaiting(uuid), bmc: { password: "canary-of-the-bmc", user: "root" } });
    const secrets = [
      canary,
      "canary-of-the-bmc",
      (await central.client(AdminTokenService).create({ tokenCreateRequest: { description: "canary" } })).secret,
      (await central.client(ProjectService).invite({ project: central.project, role: 1 })).invite?.secret ?? "none",
      (await central.client(TenantService).invite({ login: "acme", role: 1 })).invite?.secret ?? "none",
    ];
    const all = watch({});
    await all.toBookmark();
    const seen = all.things.map((thing) => toJsonString(ThingSchema, thing)).join("\n");
    assert.match(seen, /"name":"web"/);
    for (const secret of secrets) assert.ok(!seen.includes(secret), secret);
    for (const key of central.state.list(kinds.signingKey)) assert.ok(!seen.includes(key.value.privateJwk));
    assert.equal(central.desired(uuid).allocation?.userdata, canary, "what is stored is as it was");
  });
});

async function shortToken(): Promise<string> {
  return (await central.identity.issue({ user: "ann", lifetimeMs: dayMs })).secret.reveal();
}

describe("who comes back with a bookmark", () => {
  test("is told what has changed since, and what is gone, and nothing else", async () => {
    await central.waiting(3);
    await central.create({ uuid });
    const before = watch({ kinds: ["machine", "image"] }, central.ownerToken);
    await before.toBookmark();
    await image("debian-14.0.1");
    await central.client(AdminImageService).delete({ id: "debian-13.0.1" });
    await central.create({ uuid: machineUuid(2) });
    await central.client(MachineService).delete({ uuid, project: central.project });
    await central.report(aWaiting(machineUuid(3)));
    const after = watch({ kinds: ["machine", "image"], after: before.position }, central.ownerToken);
    assert.deepEqual((await after.toBookmark()).sort(), [
      "deleted image debian-13.0.1",
      `deleted machine ${uuid}`,
      "put image debian-14.0.1",
      `put machine ${machineUuid(2)}`,
    ]);
    const nothing = watch({ kinds: ["machine", "image"], after: after.position }, central.ownerToken);
    assert.deepEqual(await nothing.toBookmark(), []);
    await central.client(MachineService).delete({ uuid: machineUuid(2), project: central.project });
    assert.equal(await nothing.next(), `deleted machine ${machineUuid(2)}`);
  });

  test("is told of all that is of a project whose member they have become", async () => {
    const other = await central.newProject("other");
    const network = await central.childNetwork(other);
    const asked = { kinds: ["network", "project", "image"] };
    const before = watch(asked, central.ownerToken);
    await before.toBookmark();
    await member(other, "ann", ProjectRole.VIEWER);
    const after = watch({ ...asked, after: before.position }, central.ownerToken);
    assert.deepEqual((await after.toBookmark()).sort(), [`put network ${network}`, `put project ${other}`]);
  });

  test("is refused for another history, for what is not held any more, and after memberships were lost", async () => {
    const { history, revision } = central.state;
    const from = (after: object) => watch({ kinds: ["image"], after }, central.ownerToken).next();
    await assert.rejects(from({ history: "other", revision }), refusedFor(Code.FailedPrecondition, "HISTORY_CHANGED"));
    await assert.rejects(from({ history, revision: 0n }), refusedFor(Code.FailedPrecondition, "REVISION_COMPACTED"));
    await assert.rejects(from({ history, revision: revision + 9n }), refusedFor(Code.Unavailable, "REVISION_AHEAD"));
    const changed = await central
      .client(TokenService)
      .create({ description: "mine", expires: { seconds: 3600n }, adminRole: 1 });
    const { uuid: token = "" } = changed.token ?? {};
    const position = { history, revision: central.state.revision };
    const again = () => watch({ kinds: ["image"], after: position }, changed.secret).next();
    assert.equal(await again(), "bookmark");
    await central
      .client(TokenService)
      .update({ uuid: token, adminRole: 2, updateMeta: { lockingStrategy: Lock.SERVER } });
    await image("debian-14.0.1");
    await assert.rejects(again(), refusedFor(Code.FailedPrecondition, "SIGHT_CHANGED"));
    await member(central.project, "ann", ProjectRole.VIEWER);
    await image("debian-14.0.2");
    await assert.rejects(from({ history, revision }), refusedFor(Code.FailedPrecondition, "SIGHT_CHANGED"));
  });
});
