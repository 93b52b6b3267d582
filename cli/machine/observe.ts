import { create } from "@bufbuild/protobuf";
import { Code, ConnectError } from "@connectrpc/connect";
import {
  MachineService as HoldfastMachineService,
  type WatchResponse,
  WatchResponseSchema,
} from "#gen/holdfast/api/v1/machine_pb.ts";
import { MachineService as AdminMachineService } from "#gen/metalstack/admin/v2/machine_pb.ts";
import { MachineService } from "#gen/metalstack/api/v2/machine_pb.ts";
import type { Clock } from "#lib/clock.ts";
import type { Api } from "../cli.ts";
import { isPassing } from "../failure.ts";

export interface Observed {
  /** All machines when undefined. */
  readonly uuid: string | undefined;
  /** The administrator's view when undefined. */
  readonly project: string | undefined;
}

const firstPauseMs = 500;
const pauseMaxMs = 10_000;
const pollMs = 2_000;

/**
 * Every view of the machines from now on. A cut connection is made anew, after which all machines come once more; what
 * came before may come again. Ends by throwing: the signal's reason, or a refusal of the server.
 */
export async function* observe(
  api: Api,
  observed: Observed,
  ports: { readonly clock: Clock; readonly signal: AbortSignal; readonly onCut: (error: unknown) => void },
): AsyncGenerator<WatchResponse> {
  let pauseMs = firstPauseMs;
  while (true) {
    ports.signal.throwIfAborted();
    try {
      for await (const view of watchOnce(api, observed, ports.signal)) {
        pauseMs = firstPauseMs;
        yield view;
      }
    } catch (error) {
      ports.signal.throwIfAborted();
      if (ConnectError.from(error).code === Code.Unimplemented && observed.uuid !== undefined) break;
      if (!isPassing(error)) throw error;
      ports.onCut(error);
    }
    await pause(pauseMs, ports);
    pauseMs = Math.min(pauseMs * 2, pauseMaxMs);
  }
  yield* poll(api, { ...observed, uuid: observed.uuid! }, ports);
}

/** @throws the signal's reason, when it is aborted first */
async function pause(ms: number, ports: { readonly clock: Clock; readonly signal: AbortSignal }): Promise<void> {
  await ports.clock.sleep(ms, ports.signal).catch((error: unknown) => {
    ports.signal.throwIfAborted();
    throw error;
  });
}

async function* watchOnce(api: Api, observed: Observed, signal: AbortSignal): AsyncGenerator<WatchResponse> {
  const ended = new AbortController();
  const request = { uuid: observed.uuid ?? "", project: observed.project ?? "" };
  const options = { signal: AbortSignal.any([signal, ended.signal]), timeoutMs: 0 };
  let isKnown = observed.uuid === undefined;
  try {
    for await (const view of api.client(HoldfastMachineService).watch(request, options)) {
      isKnown ||= view.machine?.uuid === observed.uuid;
      yield view;
      // It went away while nobody looked: no later message would tell.
      if (view.initialDone && !isKnown && observed.uuid !== undefined) yield gone(observed.uuid);
    }
  } finally {
    // Leaving a loop over the stream does not tell the server; this does.
    ended.abort();
  }
}

const gone = (uuid: string) => create(WatchResponseSchema, { machine: { uuid }, deleted: true });

/** For servers of the same contract that have no Watch. */
async function* poll(
  api: Api,
  { uuid, project }: Observed & { readonly uuid: string },
  ports: { readonly clock: Clock; readonly signal: AbortSignal; readonly onCut: (error: unknown) => void },
): AsyncGenerator<WatchResponse> {
  while (true) {
    try {
      const { machine } =
        project === undefined
          ? await api.client(AdminMachineService).get({ uuid }, { signal: ports.signal })
          : await api.client(MachineService).get({ uuid, project }, { signal: ports.signal });
      if (machine) yield create(WatchResponseSchema, { machine });
    } catch (error) {
      ports.signal.throwIfAborted();
      if (ConnectError.from(error).code === Code.NotFound) {
        yield gone(uuid);
      } else if (!isPassing(error)) throw error;
      else ports.onCut(error);
    }
    await pause(pollMs, ports);
  }
}
