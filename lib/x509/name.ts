import { der, oid, sequence, tag, text } from "./der.ts";

const commonName = oid(2, 5, 4, 3);

/** A name of one part, the common name. @source RFC 5280 §4.1.2.4 */
export const nameOf = (common: string): Uint8Array => sequence(der(tag.set, sequence(commonName, text(common))));

/** 1.2.840.10045.4.3.2. @source RFC 5758 §3.2 */
export const ecdsaWithSha256 = sequence(oid(1, 2, 840, 10045, 4, 3, 2));
