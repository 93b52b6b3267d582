import { fail, ok, type Result } from "#lib/result.ts";

/** Length-prefixed fields that a key of each type is made of, its name included. @source RFC 4253 §6.6, RFC 5656 §3.1, RFC 8709 §4, OpenSSH PROTOCOL.u2f */
const fieldsOf: ReadonlyMap<string, number> = new Map([
  ["ssh-ed25519", 2],
  ["ssh-rsa", 3],
  ["ecdsa-sha2-nistp256", 3],
  ["ecdsa-sha2-nistp384", 3],
  ["ecdsa-sha2-nistp521", 3],
  ["sk-ssh-ed25519@openssh.com", 3],
  ["sk-ecdsa-sha2-nistp256@openssh.com", 4],
]);

/**
 * Checks one public key as it stands in an authorized_keys file: type, base64 blob, comment. The blob must be whole, and be of
 * the type that stands before it: a key that lost its end on the way here would lock its owner out.
 * @returns the line, trimmed
 */
export function checkSshKey(line: string): Result<string> {
  const key = line.trim();
  const [type = "", blob = ""] = key.split(/\s+/);
  const bad = (why: string) => fail(`ssh key "${key.length > 40 ? `${key.slice(0, 40)}…` : key}": ${why}`);
  // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is looked for
  if (/[\u0000-\u0008\u000a-\u001f\u007f]/.test(key))
    return bad("one key a line is wanted, without control characters");
  const fields = fieldsOf.get(type);
  if (fields === undefined) return bad(`it begins with none of ${[...fieldsOf.keys()].join(", ")}`);
  if (!/^[A-Za-z0-9+/]+={0,2}$/.test(blob) || blob.length % 4 !== 0)
    return bad("the key is not base64, or is cut short");
  const found = fieldsIn(atob(blob));
  if (found?.[0] !== type) return bad(found ? `its inside is not a ${type} key` : "the key is cut short or damaged");
  return found.length === fields ? ok(key) : bad(`a ${type} key has ${fields} parts, this one ${found.length}`);
}

/** @returns undefined when the lengths do not add up */
function fieldsIn(bytes: string): readonly string[] | undefined {
  const fields: string[] = [];
  for (let at = 0; at < bytes.length; ) {
    if (at + 4 > bytes.length) return undefined;
    const length = [...bytes.slice(at, at + 4)].reduce((n, c) => n * 256 + c.charCodeAt(0), 0);
    at += 4 + length;
    if (at > bytes.length) return undefined;
    fields.push(bytes.slice(at - length, at));
  }
  return fields;
}
