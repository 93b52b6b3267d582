import { VPNService } from "#gen/metalstack/admin/v2/vpn_pb.ts";
import { Refusal } from "#lib/refusal.ts";
import { type Implementation, implement } from "../services.ts";

/** The way to firewalls behind NAT. There are none yet, and so there is no VPN. */
export const vpnService = (): Implementation => implement(VPNService, { authKey: noVpn, listNodes: noVpn });

function noVpn(): never {
  const text = "this installation has no VPN server: machines are reached through their networks";
  throw new Refusal("precondition", text, { reason: "NO_VPN" });
}
