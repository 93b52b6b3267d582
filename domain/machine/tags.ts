/** Label on an allocated machine: its ASN in the network that it announces its addresses to. */
export const asnTag = "machine.metal-stack.io/network.primary.asn";
export const rackTag = "machine.metal-stack.io/rack";
