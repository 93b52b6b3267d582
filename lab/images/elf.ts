import { fail, ok, type Result } from "#lib/result.ts";

// The little of ELF-64 (little endian) that packing an initrd needs: which libraries a program wants, what a kernel
// module says of itself, and a program without the parts that no loader reads.
//
//   header: 0 magic · 32 e_phoff u64 · 40 e_shoff u64 · 54 e_phentsize u16 · 56 e_phnum · 58 e_shentsize · 60 e_shnum · 62 e_shstrndx
//   program header: 0 type u32 · 8 offset u64 · 16 vaddr u64 · 32 filesz u64
//   section header: 0 name u32 · 24 offset u64 · 32 size u64

const PT_LOAD = 1;
const PT_DYNAMIC = 2;
const PT_INTERP = 3;
const DT_NEEDED = 1n;
const DT_STRTAB = 5n;

interface Segment {
  readonly type: number;
  readonly offset: number;
  readonly address: number;
  readonly size: number;
}

export const isElf = (bytes: Uint8Array): boolean =>
  bytes.length >= 64 &&
  bytes[0] === 0x7f &&
  bytes[1] === 0x45 &&
  bytes[2] === 0x4c &&
  bytes[3] === 0x46 &&
  bytes[4] === 2;

/** Interpreter (the dynamic loader's path) and the names of libraries wanted; both empty for a static program. */
export function wantedByProgram(bytes: Uint8Array): Result<{ interpreter: string; libraries: readonly string[] }> {
  return reading(bytes, (view) => {
    const all = segments(view);
    const interp = all.find((s) => s.type === PT_INTERP);
    const interpreter = interp === undefined ? "" : text(bytes, interp.offset);
    const dynamic = all.find((s) => s.type === PT_DYNAMIC);
    if (dynamic === undefined) return ok({ interpreter, libraries: [] });
    const wanted: number[] = [];
    let names = 0;
    for (let at = dynamic.offset; at < dynamic.offset + dynamic.size; at += 16) {
      const tag = view.getBigInt64(at, true);
      const value = Number(view.getBigUint64(at + 8, true));
      if (tag === DT_NEEDED) wanted.push(value);
      if (tag === DT_STRTAB) names = value;
    }
    const holder = all.find((s) => s.type === PT_LOAD && names >= s.address && names < s.address + s.size);
    if (holder === undefined) return fail("ELF: the string table is in no loaded segment");
    const table = names - holder.address + holder.offset;
    return ok({ interpreter, libraries: wanted.map((w) => text(bytes, table + w)) });
  });
}

/** What a kernel module says of itself (`.modinfo`): pairs such as depends=fat. */
export function moduleInfo(bytes: Uint8Array): Result<readonly (readonly [string, string])[]> {
  return reading(bytes, (view) => {
    const section = sections(bytes, view).find((s) => s.name === ".modinfo");
    if (section === undefined) return fail("ELF: no .modinfo section, so not a kernel module");
    const all = latin1(bytes.subarray(section.offset, section.offset + section.size));
    const pairs = all.split("\0").filter((line) => line.includes("="));
    return ok(pairs.map((line) => [line.slice(0, line.indexOf("=")), line.slice(line.indexOf("=") + 1)] as const));
  });
}

/** The program up to the end of its last segment: symbols and debug information gone, as `strip -s` does. */
export function stripped(bytes: Uint8Array): Result<Uint8Array> {
  return reading(bytes, (view) => {
    const end = Math.max(...segments(view).map((s) => s.offset + s.size));
    const kept = bytes.slice(0, end);
    kept.fill(0, 40, 48);
    kept.fill(0, 60, 64);
    return ok(kept);
  });
}

function reading<T>(bytes: Uint8Array, work: (view: DataView) => Result<T>): Result<T> {
  if (!isElf(bytes)) return fail("ELF: not a 64-bit ELF file");
  try {
    return work(new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength));
  } catch (error) {
    if (error instanceof RangeError) return fail(`ELF: a table leaves the file of ${bytes.length} bytes`);
    throw error;
  }
}

function segments(view: DataView): Segment[] {
  const from = Number(view.getBigUint64(32, true));
  const size = view.getUint16(54, true);
  return Array.from({ length: view.getUint16(56, true) }, (_, i) => {
    const at = from + i * size;
    return {
      type: view.getUint32(at, true),
      offset: Number(view.getBigUint64(at + 8, true)),
      address: Number(view.getBigUint64(at + 16, true)),
      size: Number(view.getBigUint64(at + 32, true)),
    };
  });
}

function sections(bytes: Uint8Array, view: DataView) {
  const from = Number(view.getBigUint64(40, true));
  const size = view.getUint16(58, true);
  const raw = Array.from({ length: view.getUint16(60, true) }, (_, i) => ({
    name: view.getUint32(from + i * size, true),
    offset: Number(view.getBigUint64(from + i * size + 24, true)),
    size: Number(view.getBigUint64(from + i * size + 32, true)),
  }));
  const names = raw[view.getUint16(62, true)]?.offset ?? 0;
  return raw.map((s) => ({ ...s, name: text(bytes, names + s.name) }));
}

function text(bytes: Uint8Array, from: number): string {
  const end = bytes.indexOf(0, from);
  return latin1(bytes.subarray(from, end < 0 ? bytes.length : end));
}

const latin1 = (bytes: Uint8Array): string => new TextDecoder("latin1").decode(bytes);
