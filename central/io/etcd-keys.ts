/** The first key after all those that begin with the prefix: the prefix with its last byte raised. */
export function prefixEnd(prefix: string): Buffer {
  const end = Buffer.from(prefix);
  const last = end.length - 1;
  end.writeUInt8(end.readUInt8(last) + 1, last); // UTF-8 has no byte 255
  return end;
}
