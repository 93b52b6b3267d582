// Cables that change hands: another switch under a new id, or a new one under the same id. Ports are found again by their place.
import { create } from "@bufbuild/protobuf";
import { type MachineConnection, MachineConnectionSchema, type Switch } from "#gen/metalstack/api/v2/switch_pb.ts";
import { Refusal } from "#lib/refusal.ts";
import { vendorOf } from "./cabling.ts";
import { isSamePort } from "./port-names.ts";

/**
 * The connections of `from` as they are at `to`: the same machines at the same places.
 * @throws Refusal "precondition" PORT_MISSING when `to` has no such port
 */
export function takenOver(from: Switch, to: Switch): MachineConnection[] {
  return from.machineConnections.map(({ machineId, nic }) => {
    const before = { name: nic?.name ?? "", vendor: vendorOf(from) };
    const place = to.nics.find(({ name }) => isSamePort(before, { name, vendor: vendorOf(to) }));
    if (place) return create(MachineConnectionSchema, { machineId, nic: place });
    const text = `switch ${to.id} has no port in the place of ${before.name} of switch ${from.id}, where machine ${machineId} is`;
    throw new Refusal("precondition", text, { reason: "PORT_MISSING" });
  });
}

/** Wishes for ports of `from`, by the names that their places have at `to`; those of ports that are not there are gone. */
export function portsTakenOver<T>(wishes: Readonly<Record<string, T>>, from: Switch, to: Switch): Record<string, T> {
  const found = Object.entries(wishes).flatMap(([name, wish]) => {
    const before = { name, vendor: vendorOf(from) };
    const place = to.nics.find((n) => isSamePort(before, { name: n.name, vendor: vendorOf(to) }));
    return place ? [[place.name, wish] as const] : [];
  });
  return Object.fromEntries(found);
}
