import assert from "node:assert/strict";
import { afterEach, beforeEach, describe, test } from "node:test";
import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { Code, ConnectError } from "@connectrpc/connect";
import { ListService, type ListServiceListRequestSchema } from "#gen/holdfast/api/v1/list_pb.ts";
import { WatchService } from "#gen/holdfast/api/v1/watch_pb.ts";
import { IPService } from "#gen/metalstack/api/v2/ip_pb.ts";
import { hasReason } from "#lib/rpc/refusal-to-connect.ts";
import { kinds } from "../store/kinds.ts";
import { type MachineCentral, machineCentral, machineUuid } from "../testing/machines.ts";
import { WatchReader } from "../watch/testing/reader.ts";

let central: MachineCentral;
beforeEach(async () => {
  central = await machineCentral();
});
afterEach(() => central.close());

type Request = Omit<MessageInitShape<typeof ListServiceListRequestSchema>, "$typeName">;
const list = (request: Request, token?: string) => central.client(ListService, token).list(request);
const refusedFor = (reason: string) => (error: unknown) =>
  error instanceof ConnectError && error.code === Code.InvalidArgument && hasReason(error, reason);

/** Ids of all pages; between two of them something may be done. */
async function pages(request: Request, between: (page: number) => Promise<unknown> = async () => undefined) {
  const found: string[][] = [];
  let pageToken = "";
  do {
    const { things, nextPageToken } = await list({ ...request, pageToken });
    found.push(things.map((thing) => thing.id));
    await between(found.length);
    pageToken = nextPageToken;
  } while (pageToken !== "");
  return found;
}

const images = (ids: readonly string[], description = "") =>
  central.state.transact((tx) => {
    for (const id of ids) tx.put(kinds.image, id, create(kinds.image.schema, { id, description }));
  });
const without = (id: string) => central.state.transact((tx) => tx.delete(kinds.image, id));

describe("a list", () => {
  test("comes in pages, in the order of ids, and says where it ends", async () => {
    await images(Array.from({ length: 8 }, (_, n) => `i-${n}`));
    assert.deepEqual(await pages({ kind: "image", pageSize: 4 }), [
      ["debian-13.0.1", "debian-13.0.2", "i-0", "i-1"],
      ["i-2", "i-3", "i-4", "i-5"],
      ["i-6", "i-7"],
    ]);
    assert.equal((await pages({ kind: "image", pageSize: 5 })).length, 2, "a full last page is the last");
    const { things, position } = await list({ kind: "image" });
    assert.equal(things.length, 10);
    assert.deepEqual([position?.history, position?.revision], [central.state.history, central.state.revision]);
    assert.deepEqual((await list({ kind: "ip" })).things, []);
  });

  test("misses and repeats nothing that stays while others write", async () => {
    await images(["i-2", "i-4", "i-6", "i-8"]);
    const found = await pages({ kind: "image", pageSize: 2 }, async (page) => {
      if (page === 1) await images(["a-before", "i-3"]);
      if (page === 2) await without("i-3"); // where the page ended
    });
    assert.deepEqual(found, [["debian-13.0.1", "debian-13.0.2"], ["i-2", "i-3"], ["i-4", "i-6"], ["i-8"]]);
  });

  test("shows to everybody what they may see, and machines as they are composed", async () => {
    await central.waiting(3);
    await central.create({ uuid: machineUuid(2), name: "mine", userdata: "Y2FuYXJ5" });
    const { things } = await list({ kind: "machine" }, central.ownerToken);
    const machines = things.map(({ value }) => (value.case === "machine" ? value.value : undefined));
    assert.deepEqual(
      machines.map((m) => [m?.uuid, m?.rack, m?.allocation?.name, m?.allocation?.userdata]),
      [[machineUuid(2), "rack1", "mine", ""]],
    );
    assert.equal((await list({ kind: "machine" })).things.length, 3);
    assert.deepEqual((await list({ kind: "switch" }, central.ownerToken)).things, []);
    const other = await central.newProject("other");
    await assert.rejects(
      list({ kind: "machine", query: { project: other } }, central.ownerToken),
      (error) => ConnectError.from(error).code === Code.PermissionDenied,
    );
  });

  test("can be narrowed by project, tenant, ids and labels", async () => {
    const other = await central.newProject("other");
    const network = await central.childNetwork(other);
    const ips = central.client(IPService);
    const labels = (tier: string, more = {}) => ({ labels: { labels: { tier, ...more } } });
    const web = await ips.create({
      project: central.project,
      network: central.network,
      ...labels("web", { zone: "a" }),
    });
    await ips.create({ project: central.project, network: central.network, ...labels("db") });
    const far = await ips.create({ project: other, network, ...labels("web") });
    const [a, b] = [`/${web.ip?.ip}`, `/${far.ip?.ip}`];
    const found = async (query: Request["query"]) =>
      (await list({ kind: "ip", ...(query && { query }) })).things.map((thing) => thing.id);
    assert.deepEqual(await found({ labels: { tier: "web" } }), [a, b].sort());
    assert.deepEqual(await found({ labels: { tier: "web", zone: "a" } }), [a]);
    assert.deepEqual(await found({ labels: { zone: "b" } }), []);
    assert.deepEqual(await found({ project: other }), [b]);
    assert.deepEqual((await found({ tenant: "acme" })).length, 3);
    assert.deepEqual(await found({ tenant: "provider" }), []);
    assert.deepEqual(await found({ ids: [b, "none"] }), [b]);
  });

  test("of one project leaves out what nobody has", async () => {
    await central.waiting(2);
    await central.create({ uuid: machineUuid(1) });
    const { things } = await list({ kind: "machine", query: { project: central.project } });
    assert.deepEqual(
      things.map((thing) => thing.id),
      [machineUuid(1)],
    );
  });

  test("ends a page before it is too large for its readers", async () => {
    for (const id of ["i-1", "i-2", "i-3", "i-4"]) await images([id], "x".repeat(1_000_000));
    assert.deepEqual(
      (await pages({ kind: "image" })).map((page) => page.length),
      [4, 2],
    );
  });
});

test("who watches from the first page on is told of what changed behind the others", async () => {
  await images(["i-1", "i-2"]);
  const { position } = await list({ kind: "image", pageSize: 1 });
  await images(["a-1"]);
  await without("i-2");
  const stream = new WatchReader(
    central.client(WatchService).watch({ kinds: ["image"], ...(position && { after: position }) }),
  );
  assert.deepEqual((await stream.toBookmark()).sort(), ["deleted image i-2", "put image a-1"]);
});

test("a page token is good for its own list only, whatever the order of labels", async () => {
  await images(["i-1", "i-2"]);
  const query = { labels: {} };
  const { nextPageToken: pageToken } = await list({ kind: "image", query, pageSize: 1 });
  await assert.rejects(list({ kind: "size", query, pageToken }), refusedFor("PAGE_TOKEN_OF_ANOTHER_LIST"));
  await assert.rejects(
    list({ kind: "image", query: { labels: { a: "b" } }, pageToken }),
    refusedFor("PAGE_TOKEN_OF_ANOTHER_LIST"),
  );
  assert.equal((await list({ kind: "image", query, pageToken, pageSize: 7 })).things[0]?.id, "debian-13.0.2");
  for (const text of ["%", "AAAA", "////", `${pageToken}x`, "x"]) {
    await assert.rejects(list({ kind: "image", query, pageToken: text }), refusedFor("PAGE_TOKEN_INVALID"), text);
  }
});

test("what cannot be asked for is refused", async () => {
  await assert.rejects(list({ kind: "invite" }), refusedFor("UNKNOWN_KIND"));
  await assert.rejects(
    list({ kind: "image", pageSize: 1001 }),
    (error) => ConnectError.from(error).code === Code.InvalidArgument,
  );
});
