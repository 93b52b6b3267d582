/** Label on an allocated machine: its ASN in the network that it announces its addresses to. */
export const asnTag = "machine.metal-stack.io/network.primary.asn";
export const rackTag = "machine.metal-stack.io/rack";
/** Serial number of what it is built into, which machines of one enclosure share. */
export const chassisTag = "machine.metal-stack.io/chassis";

/** Labels that are set by whoever gives the machine away, and by nobody else: what others write under these names does not count. */
export const systemTags: readonly string[] = [asnTag, rackTag, chassisTag];
