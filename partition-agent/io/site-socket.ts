import { lstat, unlink } from "node:fs/promises";
import net from "node:net";

/**
 * Makes way for a socket at this path: one that a dead process left is removed.
 * @throws when somebody listens there, or when something else than a socket is there
 */
export async function clearSocketPath(path: string): Promise<void> {
  const found = await lstat(path).catch((error: NodeJS.ErrnoException) => {
    if (error.code === "ENOENT") return undefined;
    throw error;
  });
  if (!found) return;
  if (!found.isSocket())
    throw new Error(`socket ${path}: another kind of file is there; move it away, or name another`);
  if (await isAnswered(path))
    throw new Error(`socket ${path}: another process listens there; stop it, or name another`);
  await unlink(path);
}

function isAnswered(path: string): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = net.connect({ path });
    socket.once("connect", () => {
      socket.destroy();
      resolve(true);
    });
    socket.once("error", () => resolve(false));
  });
}
