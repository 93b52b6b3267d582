import { fail, ok, type Result } from "#lib/result.ts";

const types: readonly string[] = [
  "ssh-ed25519",
  "ssh-rsa",
  "ecdsa-sha2-nistp256",
  "ecdsa-sha2-nistp384",
  "ecdsa-sha2-nistp521",
  "sk-ssh-ed25519@openssh.com",
  "sk-ecdsa-sha2-nistp256@openssh.com",
];

/**
 * Checks one public key as it stands in an authorized_keys file: type, base64 blob, comment.
 * The blob must begin with the same type (RFC 4253 §6.6).
 */
export function checkSshKey(line: string): Result<string> {
  const [type = "", blob = ""] = line.trim().split(/\s+/);
  const shown = line.length > 40 ? `${line.slice(0, 40)}…` : line;
  if (line.includes("\n")) return fail(`ssh key "${shown}": one key a line is wanted`);
  if (!types.includes(type)) return fail(`ssh key "${shown}": it begins with none of ${types.join(", ")}`);
  if (!/^[A-Za-z0-9+/]+={0,2}$/.test(blob) || blob.length % 4 !== 0)
    return fail(`ssh key "${shown}": the key is not base64`);
  const head = atob(blob).slice(0, 4 + type.length);
  const length = [...head.slice(0, 4)].reduce((n, c) => n * 256 + c.charCodeAt(0), 0);
  if (length !== type.length || head.slice(4) !== type)
    return fail(`ssh key "${shown}": its inside is not a ${type} key`);
  return ok(line.trim());
}
