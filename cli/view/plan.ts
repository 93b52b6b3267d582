import { type Plan, type PlannedFate, PlannedFateSchema, type PlannedMachine } from "#gen/holdfast/api/v1/plan_pb.ts";
import { bytesText } from "./bytes.ts";
import { enumText } from "./enum-text.ts";

/** One line for each thing that would change. */
export const planText = ({ machines, addresses, networks, ports }: Plan): string =>
  [
    ...machines.flatMap(machineLines),
    ...addresses.map((a) => `address ${a.ip} of network ${a.network}: ${fateText(a.fate)}`),
    ...networks.map((n) => {
      const vrf = n.vrf === undefined ? "" : `, VRF ${n.vrf} is free again`;
      return `network ${n.id} (${n.prefixes.join(", ")}): ${fateText(n.fate)}${vrf}`;
    }),
    ...ports.map((p) => `port ${p.port} of switch ${p.switch}, machine ${p.machine}: ${p.becomes}`),
  ]
    .map((line) => `${line}\n`)
    .join("");

function machineLines(m: PlannedMachine): readonly string[] {
  const joins = m.joins.map(
    ({ network, ips, vrf, asn }) => `  network ${network}: ${ips.join(", ")} (VRF ${vrf}, ASN ${asn})`,
  );
  const disks = m.wipedDisks.map(({ name, size }) => `  disk ${name} (${bytesText(size)}): wiped`);
  const where = [m.partition, m.rack, m.size].filter((word) => word !== "").join(", ");
  return [
    `machine ${m.uuid} (${where}): ${fateText(m.fate)}, epoch ${m.epoch}, project ${m.project}`,
    ...joins,
    ...disks,
  ];
}

const fateText = (fate: PlannedFate): string => enumText(PlannedFateSchema, fate).replaceAll("_", " ");
