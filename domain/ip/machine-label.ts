import type { IP } from "#gen/metalstack/api/v2/ip_pb.ts";

/** Label of an address that says which machine uses it. Clients of metal-stack know it by this name. */
export const machineLabel = "machine.metal-stack.io/id";

/** uuid of the machine that uses an address; undefined when none does. */
export const machineOf = (ip: Pick<IP, "meta">): string | undefined => ip.meta?.labels?.labels[machineLabel];
