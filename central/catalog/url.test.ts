import assert from "node:assert/strict";
import { test } from "node:test";
import { Code, ConnectError } from "@connectrpc/connect";
import { ImageService as AdminImageService } from "#gen/metalstack/admin/v2/image_pb.ts";
import { PartitionService as AdminPartitionService } from "#gen/metalstack/admin/v2/partition_pb.ts";
import { OptimisticLockingStrategy as Lock } from "#gen/metalstack/api/v2/common_pb.ts";
import { kinds } from "../store/kinds.ts";
import { testCentral } from "../testing/central.ts";

test("images and boot files are taken only when they can be fetched, and nothing is stored otherwise", async () => {
  const probeUrl = async (url: string) => (url.includes("gone") ? "HTTP 404" : undefined);
  const central = await testCentral(undefined, { probeUrl });
  const refused = (of: string) => (e: unknown) => {
    assert.ok(e instanceof ConnectError && e.code === Code.InvalidArgument, String(e));
    assert.ok(e.message.includes(`${of}: http://x/gone cannot be fetched: HTTP 404; correct it`), e.message);
    return true;
  };
  const updateMeta = { lockingStrategy: Lock.SERVER };
  const images = central.client(AdminImageService);
  const image = { id: "debian-13.0.1", url: "http://x/gone" };
  await assert.rejects(images.create({ image }), refused("image debian-13.0.1"));
  await images.create({ image: { ...image, url: "http://x/there" } });
  await assert.rejects(images.update({ id: image.id, updateMeta, url: image.url }), refused("image debian-13.0.1"));
  assert.equal(central.state.get(kinds.image, image.id)?.value.url, "http://x/there");

  const partitions = central.client(AdminPartitionService);
  const boot = (kernelUrl: string, imageUrl: string) => ({ kernelUrl, imageUrl, commandline: "quiet" });
  const wrong = { id: "lab", bootConfiguration: boot("http://x/kernel", image.url) };
  await assert.rejects(partitions.create({ partition: wrong }), refused("partition lab"));
  assert.equal(central.state.get(kinds.partition, "lab"), undefined);
  await partitions.create({ partition: { id: "lab" } });
  const change = { id: "lab", updateMeta, bootConfiguration: boot(image.url, "http://x/initrd") };
  await assert.rejects(partitions.update(change), refused("partition lab"));
  await central.close();
});
