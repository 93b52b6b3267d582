// One etcd watch stream as batches. It never heals itself: whatever is wrong with it ends it with an error, and who watches
// begins again after the last batch. etcd3's own watcher is not used, since it stays silent when its revision is compacted.
import type { IWatchRequest, IWatchResponse } from "etcd3";
import type { Clock } from "#lib/clock.ts";
import { type Batch, Compacted, type StoreChange, StoreUnavailable } from "../store/store.ts";
import type { EtcdClient } from "./etcd-client.ts";
import { prefixEnd } from "./etcd-keys.ts";

/** How long etcd may take to begin the watch; later, how often its progress is compared with the store's revision. */
const checkMs = 5_000;

export interface EtcdWatch {
  /** Everything under it is watched. */
  readonly root: string;
  readonly after: bigint;
  /** The store's revision now, by a linearizable read. */
  readonly currentRevision: () => Promise<bigint>;
}

type Stream = AsyncIterable<IWatchResponse> & {
  write(request: IWatchRequest): void;
  cancel(): void;
  on: NodeJS.EventEmitter["on"];
};

/** What the stream and its supervisor know of each other. */
interface Progress {
  hasBegun: boolean;
  /** False while the consumer is busy with a batch: then a lag is its own. */
  isWaiting: boolean;
  revision: bigint;
}

/** Keys are etcd's own; batches are not filtered. @throws Compacted, StoreUnavailable */
export async function* etcdWatch(
  client: EtcdClient,
  clock: Clock,
  watch: EtcdWatch,
  signal: AbortSignal,
): AsyncGenerator<Batch> {
  const over = new AbortController();
  const ended = AbortSignal.any([signal, over.signal]);
  const progress: Progress = { hasBegun: false, isWaiting: true, revision: watch.after };
  let stream: Stream | undefined;
  let lost: StoreUnavailable | undefined;
  try {
    stream = await open(client, watch);
    ended.addEventListener("abort", () => stream?.cancel(), { once: true });
    if (ended.aborted) return;
    void supervise(client, clock, watch, progress, ended).then((why) => {
      lost = why;
      stream?.cancel();
    });
    for await (const response of stream) {
      progress.hasBegun = true;
      for (const batch of batchesOf(response, progress.revision)) {
        progress.isWaiting = false;
        yield batch;
        progress.revision = batch.revision;
        progress.isWaiting = true;
      }
    }
    throw new StoreUnavailable("the stream ended");
  } catch (error) {
    if (!signal.aborted) throw lost ?? client.asOurs(error);
  } finally {
    over.abort();
  }
}

/**
 * The watch begins at `after` itself, not one later: etcd then says for certain whether what follows it is still held, also
 * where a compaction at the next revision has taken that one's deletions away.
 */
async function open(client: EtcdClient, { root, after }: EtcdWatch): Promise<Stream> {
  const stream = (await client.call((etcd) => etcd.watchClient.watch())) as unknown as Stream; // a Duplex; the types hide it
  stream.on("error", () => undefined); // told by the iteration; without a listener it would end the process
  stream.write({
    create_request: {
      key: Buffer.from(root),
      range_end: prefixEnd(root),
      start_revision: Number(after > 0n ? after : 1n),
    },
  });
  return stream;
}

function batchesOf(response: IWatchResponse, seen: bigint): readonly Batch[] {
  if (response.canceled) {
    if (response.compact_revision !== "0") throw new Compacted(BigInt(response.compact_revision));
    throw new StoreUnavailable(`the watch was cancelled: ${response.cancel_reason}`);
  }
  const batches = new Map<bigint, StoreChange[]>();
  for (const { type, kv } of response.events) {
    const revision = BigInt(kv.mod_revision);
    if (revision <= seen) continue;
    const key = kv.key.toString();
    const changes = batches.get(revision) ?? [];
    batches.set(revision, changes);
    const put = { key, value: new Uint8Array(kv.value), revision, created: BigInt(kv.create_revision) };
    changes.push({ key, item: type === "Delete" ? undefined : put });
  }
  return Array.from(batches, ([revision, changes]) => ({ revision, changes }));
}

/**
 * Resolves with what is wrong when the stream does not begin, when the store does not answer, or when the stream has not moved
 * since the last check though the store has. On an etcd that others use as well that is said without need, and costs one new stream per check.
 */
async function supervise(
  client: EtcdClient,
  clock: Clock,
  { currentRevision }: EtcdWatch,
  progress: Progress,
  signal: AbortSignal,
): Promise<StoreUnavailable | undefined> {
  let expected = 0n;
  while (!signal.aborted) {
    await clock.sleep(checkMs, signal).catch(() => undefined);
    if (signal.aborted) return undefined;
    if (!progress.hasBegun) return new StoreUnavailable(`${client.name} did not begin a watch within ${checkMs} ms`);
    if (progress.isWaiting && progress.revision < expected) {
      return new StoreUnavailable(
        `the watch of ${client.name} stays at ${progress.revision}, the store is at ${expected}`,
      );
    }
    try {
      expected = await currentRevision();
    } catch (error) {
      return new StoreUnavailable("the store does not answer while it is watched", { cause: error });
    }
  }
  return undefined;
}
