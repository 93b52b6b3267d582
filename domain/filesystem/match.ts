import type { FilesystemLayout } from "#gen/metalstack/api/v2/filesystem_pb.ts";
import { parseVersionConstraint } from "../image/constraint.ts";
import { parseImageName } from "../image/version.ts";

/** Layouts whose constraints take this size and this image. One without constraints is only used by name. */
export function matchingLayouts(
  layouts: readonly FilesystemLayout[],
  size: string,
  image: string,
): readonly FilesystemLayout[] {
  const name = parseImageName(image);
  if (!name.ok) return [];
  const { os, version } = name.value;
  return layouts.filter(({ constraints }) => {
    const wanted = constraints?.images;
    if (!constraints?.sizes.includes(size) || wanted === undefined || !Object.hasOwn(wanted, os)) return false;
    const constraint = parseVersionConstraint(wanted[os] ?? "");
    return constraint.ok && constraint.value(version);
  });
}

/** The one layout for a size and an image; undefined when there is none, or several. */
export function matchLayout(
  layouts: readonly FilesystemLayout[],
  size: string,
  image: string,
): FilesystemLayout | undefined {
  const matching = matchingLayouts(layouts, size, image);
  return matching.length === 1 ? matching[0] : undefined;
}

/** Layouts that could take the same size and image as this one: same size, same operating system, and versions in common. */
export function colliding(layout: FilesystemLayout, others: readonly FilesystemLayout[]): readonly FilesystemLayout[] {
  const { sizes = [], images = {} } = layout.constraints ?? {};
  return others.filter((other) => {
    if (other.id === layout.id) return false;
    const theirs = other.constraints;
    if (!theirs?.sizes.some((size) => sizes.includes(size))) return false;
    return Object.entries(images).some(
      ([os, constraint]) => Object.hasOwn(theirs.images, os) && mayShare(constraint, theirs.images[os] ?? ""),
    );
  });
}

/** Tried at the versions that the constraints themselves name, and just beside them: there they change their answer, if anywhere. */
function mayShare(a: string, b: string): boolean {
  const takesA = parseVersionConstraint(a);
  const takesB = parseVersionConstraint(b);
  if (!takesA.ok || !takesB.ok) return true;
  const named = `${a} ${b} 0.0.0`.match(/\d+(?:\.\d+)*/g) ?? [];
  return named.some((text) => {
    const version = text.split(".").map(Number);
    const padded = [0, 1, 2].map((i) => version[i] ?? 0);
    const beside = [0, 1, 2].flatMap((i) =>
      [-1, 1].map((step) => padded.map((part, k) => Math.max(0, k === i ? part + step : part))),
    );
    return [padded, ...beside].some((v) => takesA.value(v) && takesB.value(v));
  });
}
