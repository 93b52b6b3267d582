// Images are named os-major.minor.patch; a shorter form stands for the newest supported one that begins so and has not expired.
import { timestampMs } from "@bufbuild/protobuf/wkt";
import { type Image, ImageClassification } from "#gen/metalstack/api/v2/image_pb.ts";
import { fail, ok, type Result } from "#lib/result.ts";

export interface ImageName {
  /** Such as debian, or firewall-ubuntu. */
  readonly os: string;
  /** One to three numbers. */
  readonly version: readonly number[];
}

export function parseImageName(id: string): Result<ImageName> {
  const parts = /^([a-z0-9][a-z0-9_-]*)-(\d{1,9}(?:\.\d{1,9}){0,2})$/.exec(id);
  if (parts === null) {
    return fail(`image ${id.slice(0, 128)}: the form is os-major.minor.patch, such as debian-13.0.20260101`);
  }
  const [, os = "", version = ""] = parts;
  return ok({ os, version: version.split(".").map(Number) });
}

/** Missing parts count as 0. Negative: `a` is older. */
export function compareVersions(a: readonly number[], b: readonly number[]): number {
  for (let i = 0; i < 3; i++) {
    const difference = (a[i] ?? 0) - (b[i] ?? 0);
    if (difference !== 0) return difference;
  }
  return 0;
}

/** An image has expired from the very millisecond that it names; one that names none never does. */
export const isExpired = (image: Image, nowMs: number): boolean =>
  image.expiresAt !== undefined && timestampMs(image.expiresAt) <= nowMs;

/**
 * The image that an id or short form means: the one of exactly that id, expired or not, else the newest supported one that
 * begins so and has not expired.
 * @param nowMs Unix time
 */
export function resolveImage(images: readonly Image[], wanted: string, nowMs: number): Image | undefined {
  const exact = images.find((image) => image.id === wanted);
  if (exact !== undefined) return exact;
  const name = parseImageName(wanted);
  if (!name.ok) return undefined;
  return newest(offered(images, ImageClassification.SUPPORTED, nowMs), name.value);
}

/**
 * @param os with or without the beginning of a version: debian, debian-13
 * @param nowMs Unix time
 */
export function latestImage(
  images: readonly Image[],
  os: string,
  nowMs: number,
  classification: ImageClassification = ImageClassification.SUPPORTED,
): Image | undefined {
  const candidates = offered(images, classification, nowMs);
  const bare = newest(candidates, { os, version: [] });
  const name = parseImageName(os);
  return bare ?? (name.ok ? newest(candidates, name.value) : undefined);
}

const offered = (images: readonly Image[], classification: ImageClassification, nowMs: number): Image[] =>
  images.filter((image) => image.classification === classification && !isExpired(image, nowMs));

function newest(images: readonly Image[], wanted: ImageName): Image | undefined {
  let best: { image: Image; version: readonly number[] } | undefined;
  for (const image of images) {
    const name = parseImageName(image.id);
    if (!name.ok || name.value.os !== wanted.os) continue;
    const { version } = name.value;
    if (!wanted.version.every((part, i) => version[i] === part)) continue;
    if (best === undefined || compareVersions(version, best.version) > 0) best = { image, version };
  }
  return best?.image;
}
