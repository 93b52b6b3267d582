/** How an image is packed, by its first bytes; undefined: not a known kind. @source magic(5); RFC 8878 §3.1.1; LZ4 frame format 1.6 */
export function imageKind(head: Uint8Array): "tar" | "compressed" | undefined {
  const begins = (...bytes: readonly number[]): boolean => bytes.every((b, i) => head[i] === b);
  if (
    begins(0x28, 0xb5, 0x2f, 0xfd) ||
    begins(0x04, 0x22, 0x4d, 0x18) ||
    begins(0x1f, 0x8b) ||
    begins(0xfd, 0x37, 0x7a, 0x58, 0x5a)
  )
    return "compressed";
  return new TextDecoder("latin1").decode(head.subarray(257, 262)) === "ustar" ? "tar" : undefined;
}
