/** Bytes `from` to `to`, both included. */
export interface ByteRange {
  readonly from: number;
  readonly to: number;
}

/**
 * Reads a Range header against a file.
 * @returns `whole` when it is absent, malformed, of another unit, or asks for several ranges, which a server may ignore
 * @source RFC 9110 §14.1.2, §14.2
 */
export function requestedRange(header: string | undefined, sizeBytes: number): ByteRange | "whole" | "unsatisfiable" {
  const match = /^bytes=\s*(\d{0,15})-(\d{0,15})\s*$/.exec(header ?? "");
  const [first = "", last = ""] = match?.slice(1) ?? [];
  if (first === "" && last === "") return "whole";
  if (first === "") {
    const count = Math.min(Number(last), sizeBytes);
    return count === 0 ? "unsatisfiable" : { from: sizeBytes - count, to: sizeBytes - 1 };
  }
  const from = Number(first);
  if (last !== "" && Number(last) < from) return "whole";
  if (from >= sizeBytes) return "unsatisfiable";
  return { from, to: last === "" ? sizeBytes - 1 : Math.min(Number(last), sizeBytes - 1) };
}
