/** Label on an allocated machine: its ASN in the network that it announces its addresses to. */
export const asnTag = "machine.metal-stack.io/network.primary.asn";
export const rackTag = "machine.metal-stack.io/rack";

/** Labels that central sets and nobody else: what others write under these names does not count. */
export const systemTags: readonly string[] = [asnTag, rackTag];
