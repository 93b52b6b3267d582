// One LLDP frame (IEEE 802.1AB-2016 §8): Ethernet header, then TLVs of 7 bits type and 9 bits length.
//   chassis id (1) · port id (2) · time to live (3) · system name (5) · system description (6) · end (0)

export interface LldpNeighbour {
  /** The switch's Ethernet address, six octets. */
  readonly chassis: Uint8Array;
  readonly port: string;
  readonly systemName: string;
  readonly ttlSeconds: number;
}

const nearestBridge = Uint8Array.of(0x01, 0x80, 0xc2, 0x00, 0x00, 0x0e);
const frameMin = 60;

/** What a switch says about itself on one port, as an Ethernet frame without checksum. */
export function lldpFrame(neighbour: LldpNeighbour): Uint8Array {
  const text = new TextEncoder();
  const frame = Buffer.concat([
    nearestBridge,
    neighbour.chassis,
    Uint8Array.of(0x88, 0xcc),
    tlv(1, Uint8Array.of(4, ...neighbour.chassis)),
    tlv(2, Uint8Array.of(5, ...text.encode(neighbour.port))),
    tlv(3, Uint8Array.of(neighbour.ttlSeconds >> 8, neighbour.ttlSeconds & 255)),
    tlv(5, text.encode(neighbour.systemName)),
    tlv(6, text.encode("Holdfast lab switch")),
    tlv(0, new Uint8Array()),
  ]);
  const padded = new Uint8Array(Math.max(frame.length, frameMin));
  padded.set(frame);
  return padded;
}

function tlv(type: number, value: Uint8Array): Uint8Array {
  if (value.length > 511) throw new Error(`LLDP value of ${value.length} octets exceeds 511`);
  return Uint8Array.of((type << 1) | (value.length >> 8), value.length & 255, ...value);
}
