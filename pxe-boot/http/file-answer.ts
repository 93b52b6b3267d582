import { type ByteRange, requestedRange } from "./range.ts";

/** What counts of a request for a file; header names are in lower case. */
export interface FileRequest {
  readonly method: "GET" | "HEAD";
  readonly headers: Readonly<Record<string, string | undefined>>;
}

export interface FileAnswer {
  readonly status: 200 | 206 | 304 | 416;
  readonly headers: Readonly<Record<string, string>>;
  /** What of the file is sent after the headers */
  readonly body: ByteRange | undefined;
}

/** @source RFC 9110 §13.1.2 (If-None-Match), §13.1.5 (If-Range), §14 (ranges) */
export function fileAnswer(
  request: FileRequest,
  file: { readonly sizeBytes: number; readonly etag: string },
): FileAnswer {
  const etag = `"${file.etag}"`;
  const base = { etag, "accept-ranges": "bytes", "content-type": "application/octet-stream" };
  if (matches(request.headers["if-none-match"], etag)) return { status: 304, headers: { etag }, body: undefined };
  const ifRange = request.headers["if-range"];
  const asked = request.method === "GET" && (ifRange === undefined || ifRange === etag) ? request.headers.range : "";
  const range = requestedRange(asked, file.sizeBytes);
  if (range === "unsatisfiable")
    return {
      status: 416,
      headers: { "content-range": `bytes */${file.sizeBytes}`, "content-length": "0" },
      body: undefined,
    };
  const { from, to } = range === "whole" ? { from: 0, to: file.sizeBytes - 1 } : range;
  const body = request.method === "GET" && to >= from ? { from, to } : undefined;
  const length = { "content-length": String(to - from + 1) };
  if (range === "whole") return { status: 200, headers: { ...base, ...length }, body };
  const part = { "content-range": `bytes ${from}-${to}/${file.sizeBytes}` };
  return { status: 206, headers: { ...base, ...length, ...part }, body };
}

/** Weak comparison, as If-None-Match wants it. */
function matches(header: string | undefined, etag: string): boolean {
  if (header === undefined) return false;
  return header.split(",").some((one) => one.trim() === "*" || one.trim().replace(/^W\//, "") === etag);
}
