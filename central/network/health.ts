import type { MessageInitShape } from "@bufbuild/protobuf";
import { freeNumber, lowest } from "#domain/network/free.ts";
import { type HealthStatusSchema, Service, ServiceStatus } from "#gen/metalstack/api/v2/health_pb.ts";
import { asnPool } from "../machine/asn.ts";
import type { State } from "../store/state.ts";
import { spaces } from "./spaces.ts";
import { vrfNumbers } from "./vrf.ts";

/** Whether there are numbers for further networks and machines. That a single network is full is its own affair. */
export function ipamHealth(state: Pick<State, "fold" | "folded">): MessageInitShape<typeof HealthStatusSchema> {
  const { numbers } = spaces(state);
  const isUsedUp = (group: string, pool: typeof asnPool) =>
    freeNumber(state.folded(numbers, group), pool, lowest) === undefined;
  const problems = [
    ...(isUsedUp("vrf", vrfNumbers) ? ["all VRFs are taken: no private network can be made"] : []),
    ...(isUsedUp("asn", asnPool) ? ["all ASNs are taken: no machine can be allocated"] : []),
  ];
  const status = problems.length === 0 ? ServiceStatus.HEALTHY : ServiceStatus.DEGRADED;
  return { name: Service.IPAM, status, message: problems.join("; ") };
}
