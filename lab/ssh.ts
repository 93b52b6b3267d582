import { readFileSync, rmSync } from "node:fs";
import path from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { attempt, run } from "./process.ts";
import { Late } from "./waiting.ts";

/** A key pair made for one run. */
export interface SshKey {
  readonly file: string;
  readonly publicKey: string;
}

const userOfImage = "metal";
const loginDeadlineMs = 90_000;
const lookEveryMs = 3_000;

export async function makeSshKey(folder: string, name = "ssh-key"): Promise<SshKey> {
  const file = path.join(folder, name);
  for (const old of [file, `${file}.pub`]) rmSync(old, { force: true });
  await run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "holdfast-lab", "-f", file]);
  return { file, publicKey: readFileSync(`${file}.pub`, "utf8").trim() };
}

/** Runs a command on a server over ssh, with the key alone; tries once a second until sshd answers. */
export const onServer = (key: SshKey, address: string, command: string, user = userOfImage): Promise<string> =>
  run(ssh(key, `${user}@${address}`, command), { deadlineMs: loginDeadlineMs });

/** Whether a server whose sshd answers lets the key in. @throws when it does not answer */
export async function letsIn(key: SshKey, address: string): Promise<boolean> {
  const { exit, stderr } = await attempt(ssh(key, `${userOfImage}@${address}`, "true"), {
    deadlineMs: loginDeadlineMs,
  });
  if (exit.code === 0) return true;
  if (stderr.includes("Permission denied")) return false;
  throw new Error(`ssh ${address}: ${stderr.trim()}`);
}

/** Resolves when it does: a running system asks for its keys once a minute. */
export async function letsInAtLast(key: SshKey, address: string): Promise<void> {
  const deadline = performance.now() + loginDeadlineMs;
  while (!(await letsIn(key, address))) {
    if (performance.now() > deadline) throw new Late(`${address} lets the key ${key.file} in`, loginDeadlineMs, "");
    await delay(lookEveryMs);
  }
}

function ssh(key: SshKey, where: string, command: string): readonly string[] {
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
  return ["ssh", "-F", "/dev/null", "-i", key.file, ...options, where, command];
}
