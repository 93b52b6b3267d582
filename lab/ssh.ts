import { readFileSync, rmSync } from "node:fs";
import path from "node:path";
import { run } from "./process.ts";

/** A key pair made for one run. */
export interface SshKey {
  readonly file: string;
  readonly publicKey: string;
}

const userOfImage = "metal";
const loginDeadlineMs = 90_000;

export async function makeSshKey(folder: string): Promise<SshKey> {
  const file = path.join(folder, "ssh-key");
  for (const old of [file, `${file}.pub`]) rmSync(old, { force: true });
  await run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "holdfast-lab", "-f", file]);
  return { file, publicKey: readFileSync(`${file}.pub`, "utf8").trim() };
}

/** Runs a command on a server over ssh, with the key alone; tries once a second until sshd answers. */
export function onServer(key: SshKey, address: string, command: string, user = userOfImage): Promise<string> {
  const options = [
    "BatchMode=yes",
    "IdentitiesOnly=yes",
    "PasswordAuthentication=no",
    "StrictHostKeyChecking=no",
    "UserKnownHostsFile=/dev/null",
    "LogLevel=ERROR",
    "ConnectTimeout=5",
    "ConnectionAttempts=60",
  ].flatMap((o) => ["-o", o]);
  return run(["ssh", "-F", "/dev/null", "-i", key.file, ...options, `${user}@${address}`, command], {
    deadlineMs: loginDeadlineMs,
  });
}
