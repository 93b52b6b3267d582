/** One thing in a root file system that is being put together. `mode` is the permission bits alone. */
export type Node =
  | { readonly kind: "folder"; readonly mode: number }
  | { readonly kind: "file"; readonly mode: number; readonly content: Uint8Array }
  | { readonly kind: "link"; readonly target: string }
  | { readonly kind: "device"; readonly mode: number; readonly major: number; readonly minor: number };

const typeBits = { folder: 0o040000, file: 0o100000, link: 0o120000, device: 0o020000 } as const;

/**
 * A cpio archive as the kernel unpacks it: owner 0:0, time 0, paths in byte order, so that equal trees give equal bytes.
 * @param tree by path without a leading slash; every parent folder must be in it
 * @source Linux Documentation/driver-api/early-userspace/buffer-format.rst ("newc")
 */
export function cpio(tree: ReadonlyMap<string, Node>): readonly Uint8Array[] {
  const paths = [...tree.keys()].sort();
  const parts = paths.flatMap((path, i) => entry(i + 1, path, tree.get(path) as Node));
  return [...parts, ...entry(0, "TRAILER!!!", { kind: "file", mode: 0, content: new Uint8Array(0) })];
}

function entry(inode: number, path: string, node: Node): Uint8Array[] {
  const content =
    node.kind === "file" ? node.content : new TextEncoder().encode(node.kind === "link" ? node.target : "");
  const mode = inode === 0 ? 0 : typeBits[node.kind] | (node.kind === "link" ? 0o777 : node.mode);
  const name = new TextEncoder().encode(`${path}\0`);
  const device = node.kind === "device" ? [node.major, node.minor] : [0, 0];
  const fields = [inode, mode, 0, 0, 1, 0, content.length, 0, 0, ...device, name.length, 0];
  const header = new TextEncoder().encode(
    `070701${fields.map((f) => f.toString(16).toUpperCase().padStart(8, "0")).join("")}`,
  );
  return [header, name, padding(header.length + name.length), content, padding(content.length)];
}

const padding = (length: number): Uint8Array => new Uint8Array((4 - (length % 4)) % 4);
