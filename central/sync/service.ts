import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import type { ServiceImpl } from "@connectrpc/connect";
import type { SyncService } from "#gen/holdfast/sync/v1/sync_pb.ts";
import { Refusal } from "#lib/refusal.ts";
import { sendNowKey } from "#lib/rpc/send-now.ts";
import { type Caller, callerOf, stillAllowedKey } from "../access/caller.ts";
import { type FollowPorts, followPartition } from "./follow.ts";
import { takeReport } from "./report.ts";

/** holdfast.sync.v1.SyncService: central's end of the link. */
export function syncService(ports: FollowPorts): ServiceImpl<typeof SyncService> {
  return {
    follow(request, context) {
      checkPartition(callerOf(context), request.partition);
      const { values, signal } = context;
      const straight = { stillAllowed: values.get(stillAllowedKey), send: values.get(sendNowKey) };
      return followPartition(ports, request, signal, straight);
    },

    async report(request, context) {
      const { state, connections, clock, takers } = ports;
      checkPartition(callerOf(context), request.partition);
      connections.heard(request.partition, request.agent);
      const taken = await takeReport(state, clock, request, takers);
      return { ...taken, time: timestampFromMs(clock.wallMs()) };
    },
  };
}

/** An agent's token may be made for one partition; then it speaks for no other. */
function checkPartition({ partition }: Caller, wanted: string): void {
  if (partition !== undefined && partition !== wanted) {
    throw new Refusal("denied", `the token is for partition ${partition}, not ${wanted}`, {
      reason: "OTHER_PARTITION",
    });
  }
}
