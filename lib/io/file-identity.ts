import { statSync } from "node:fs";

/** Which file this is: device, inode and birth, which no copy shares. */
export function fileIdentity(file: string): string {
  const { dev, ino, birthtimeMs } = statSync(file);
  return `${dev}-${ino}-${birthtimeMs}`;
}
