import { equals } from "@bufbuild/protobuf";
import { BGPFilterSchema, type SwitchNic, SwitchPortStatus } from "#gen/metalstack/api/v2/switch_pb.ts";
import { Refusal } from "#lib/refusal.ts";

/** Only this can be asked for. */
export const isStatusToWant = (status: SwitchPortStatus): boolean =>
  status === SwitchPortStatus.UP || status === SwitchPortStatus.DOWN;

/**
 * The wishes in a list of ports that somebody sent back. Whether a port is up is all that people decide of it: the rest is what the
 * switch has, and what central makes of the machine behind it.
 * @param shown the ports as they are
 * @param wanted all of them
 * @throws Refusal "invalid" that names the port
 */
export function wantedPorts(
  id: string,
  shown: readonly SwitchNic[],
  wanted: readonly SwitchNic[],
): Record<string, SwitchPortStatus> {
  const missing = shown.find((nic) => !wanted.some((w) => w.name === nic.name));
  if (missing) throw wrong(`port ${missing.name} is on switch ${id} and cannot be left out`);
  const wishes: [string, SwitchPortStatus][] = [];
  for (const nic of wanted) {
    const at = shown.find((s) => s.name === nic.name);
    if (!at) throw wrong(`port ${nic.name} is not on switch ${id}: ports are what its daemon reports`);
    const changed = changedField(at, nic);
    if (changed) throw wrong(`port ${nic.name} of switch ${id}: ${changed} cannot be changed, only state.desired can`);
    const status = nic.state?.desired;
    if (status === undefined) continue;
    if (!isStatusToWant(status)) throw wrong(`port ${nic.name} of switch ${id}: only UP or DOWN can be asked for`);
    wishes.push([nic.name, status]);
  }
  return Object.fromEntries(wishes);
}

/** What is observed all the time, as the state of sessions, may have moved on since it was read. */
function changedField(at: SwitchNic, nic: SwitchNic): string | undefined {
  if (nic.identifier !== at.identifier) return "identifier";
  if ((nic.mac ?? "").toLowerCase() !== (at.mac ?? "").toLowerCase()) return "mac";
  if ((nic.vrf ?? "") !== (at.vrf ?? "")) return "vrf";
  const isSame = nic.bgpFilter && at.bgpFilter ? equals(BGPFilterSchema, nic.bgpFilter, at.bgpFilter) : true;
  return isSame ? undefined : "bgp_filter";
}

const wrong = (text: string): Refusal => new Refusal("invalid", text, { field: "nics" });
