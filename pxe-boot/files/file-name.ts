import { fail, ok, type Result } from "#lib/result.ts";

const lengthMax = 255;

/**
 * A name as boot clients ask for it, made safe: backslashes become slashes, leading slashes and `.` go; what climbs up, hides
 * or carries control characters is refused.
 * @returns a relative path with single slashes, `arm64/snponly.efi`
 */
export function fileName(asked: string): Result<string> {
  if (asked.length > lengthMax) return fail(`file name of ${asked.length} characters exceeds ${lengthMax}`);
  // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is looked for
  if (/[\x00-\x1f\x7f]/.test(asked)) return fail("file name with control characters");
  const parts = asked
    .replaceAll("\\", "/")
    .split("/")
    .filter((part) => part !== "" && part !== ".");
  if (parts.length === 0) return fail("file name is empty");
  const hidden = parts.find((part) => part.startsWith("."));
  return hidden === undefined ? ok(parts.join("/")) : fail(`file name ${asked}: ${hidden} is not served`);
}
