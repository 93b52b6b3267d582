// Which images a size takes: by operating system, those versions that a constraint allows.
import type {
  ImageConstraint,
  SizeImageConstraint,
  SizeImageConstraintQuery,
} from "#gen/metalstack/api/v2/size_imageconstraint_pb.ts";
import { parseVersionConstraint } from "../image/constraint.ts";
import { parseImageName } from "../image/version.ts";

/** Operating systems that one size limits. */
const imagesMax = 64;

/** Why these constraints cannot be taken as they are, with the index of the wrong one; undefined when they can. */
export function badImageConstraints(
  constraints: readonly ImageConstraint[],
): { readonly at: number | undefined; readonly why: string } | undefined {
  if (constraints.length === 0)
    return { at: undefined, why: "at least one image is wanted: without any, nothing is limited" };
  if (constraints.length > imagesMax) return { at: undefined, why: `${constraints.length} images exceed ${imagesMax}` };
  const seen = new Set<string>();
  for (const [at, { image, semverMatch }] of constraints.entries()) {
    if (!/^[a-z0-9][a-z0-9_-]*$/.test(image))
      return { at, why: `${image.slice(0, 128)} is no operating system's name, such as debian` };
    if (seen.has(image)) return { at, why: `${image} is named twice` };
    seen.add(image);
    const parsed = parseVersionConstraint(semverMatch);
    if (!parsed.ok) return { at, why: parsed.error };
  }
  return undefined;
}

/** Why the image may not run on machines of the constraint's size; undefined when it may. */
export function imageRefusal(constraint: SizeImageConstraint | undefined, image: string): string | undefined {
  const name = parseImageName(image);
  if (constraint === undefined || !name.ok) return undefined;
  const { os, version } = name.value;
  const limit = constraint.imageConstraints.find((one) => one.image === os);
  if (limit === undefined) return undefined;
  const allows = parseVersionConstraint(limit.semverMatch);
  if (allows.ok && allows.value(version)) return undefined;
  return `size ${constraint.size} takes ${os} ${limit.semverMatch}, which image ${image} is not`;
}

export const imageConstraintMatches = (
  constraint: SizeImageConstraint,
  q: SizeImageConstraintQuery | undefined,
): boolean =>
  q === undefined ||
  ((q.size === undefined || constraint.size === q.size) &&
    (q.name === undefined || constraint.name === q.name) &&
    (q.description === undefined || constraint.description === q.description));
