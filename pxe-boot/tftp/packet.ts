import { bug } from "#lib/bug.ts";
import { decoding, Reader, Writer } from "#lib/bytes.ts";
import { fail, ok, type Result } from "#lib/result.ts";

// Wire forms, RFC 1350 §5 and RFC 2347 (texts end with NUL):
//   1 read | 2 write: opcode (2), file, mode, { option, value }
//   3 data: opcode (2), block (2), 0 to blksize bytes     4 ack: opcode (2), block (2)
//   5 error: opcode (2), code (2), message                6 oack: opcode (2), { option, value }

/** Texts are Latin-1 without NUL; option names are in lower case. */
export type TftpPacket =
  | { readonly kind: "read" | "write"; readonly file: string; readonly mode: string; readonly options: TftpOptions }
  | { readonly kind: "data"; readonly block: number; readonly bytes: Uint8Array }
  | { readonly kind: "ack"; readonly block: number }
  | { readonly kind: "error"; readonly code: number; readonly message: string }
  | { readonly kind: "oack"; readonly options: TftpOptions };

export type TftpOptions = ReadonlyMap<string, string>;

/** @source RFC 1350 appendix, RFC 2347 */
export const tftpError = {
  undefined: 0,
  notFound: 1,
  accessViolation: 2,
  illegalOperation: 4,
  unknownTransfer: 5,
} as const;

const opcodes = { read: 1, write: 2, data: 3, ack: 4, error: 5, oack: 6 } as const;
/** RFC 2347 says 512; some clients ask for more than they may. */
const requestBytesMax = 1024;
const optionsMax = 16;

export function decodeTftp(bytes: Uint8Array): Result<TftpPacket> {
  return decoding("tftp packet", () => {
    const r = new Reader(bytes);
    const opcode = r.u16();
    switch (opcode) {
      case opcodes.read:
      case opcodes.write:
        return decodeRequest(opcode === opcodes.read ? "read" : "write", r);
      case opcodes.data:
        return ok({ kind: "data", block: r.u16(), bytes: r.rest() });
      case opcodes.ack:
        return ok({ kind: "ack", block: r.u16() });
      case opcodes.error:
        return ok({ kind: "error", code: r.u16(), message: texts(r.rest().subarray(0, requestBytesMax))[0] ?? "" });
      case opcodes.oack: {
        const options = decodeOptions(r);
        return options.ok ? ok({ kind: "oack", options: options.value }) : options;
      }
      default:
        return fail(`tftp packet: opcode ${opcode} is not 1 to 6`);
    }
  });
}

function decodeRequest(kind: "read" | "write", r: Reader): Result<TftpPacket> {
  if (r.left > requestBytesMax) return fail(`tftp ${kind} request of ${r.left} bytes exceeds ${requestBytesMax}`);
  const rest = r.rest();
  const [file, mode, ...more] = texts(rest);
  if (file === undefined || mode === undefined || rest.at(-1) !== 0)
    return fail(`tftp ${kind} request: a file and a mode that end with NUL are wanted`);
  const options = optionsOf(more);
  return options.ok ? ok({ kind, file, mode, options: options.value }) : options;
}

function decodeOptions(r: Reader): Result<TftpOptions> {
  if (r.left > requestBytesMax) return fail(`tftp options of ${r.left} bytes exceed ${requestBytesMax}`);
  return optionsOf(texts(r.rest()));
}

/** Pairs of name and value; some firmware pads with NULs, so an empty name ends the list. The first of a name counts. */
function optionsOf(parts: readonly string[]): Result<TftpOptions> {
  const options = new Map<string, string>();
  for (let at = 0; at + 1 < parts.length && parts[at] !== ""; at += 2) {
    const name = parts[at]!.toLowerCase();
    if (!options.has(name)) options.set(name, parts[at + 1]!);
    if (options.size > optionsMax) return fail(`tftp packet: more than ${optionsMax} options`);
  }
  return ok(options);
}

/** What stands before each NUL, and what follows the last one when it is not empty. */
function texts(bytes: Uint8Array): readonly string[] {
  const parts = latin1(bytes).split("\0");
  return parts.at(-1) === "" ? parts.slice(0, -1) : parts;
}

export function encodeTftp(packet: TftpPacket): Uint8Array {
  const w = new Writer(packet.kind === "data" ? 4 + packet.bytes.length : 64);
  w.u16(opcodes[packet.kind]);
  switch (packet.kind) {
    case "read":
    case "write":
      putText(w, packet.file);
      putText(w, packet.mode);
      putOptions(w, packet.options);
      break;
    case "data":
      w.u16(packet.block).put(packet.bytes);
      break;
    case "ack":
      w.u16(packet.block);
      break;
    case "error":
      w.u16(packet.code);
      putText(w, packet.message);
      break;
    case "oack":
      putOptions(w, packet.options);
      break;
    default:
      bug(`tftp packet ${packet satisfies never}`);
  }
  return w.bytes();
}

function putOptions(w: Writer, options: TftpOptions): void {
  for (const [name, value] of options) {
    putText(w, name);
    putText(w, value);
  }
}

const putText = (w: Writer, text: string): Writer =>
  w.put(Uint8Array.from(text, (char) => char.charCodeAt(0) & 255)).u8(0);

const latin1 = (bytes: Uint8Array): string => String.fromCharCode(...bytes);
