import { type Size, type SizeConstraint, SizeConstraintType } from "#gen/metalstack/api/v2/size_pb.ts";

/** Constraints of one size. */
const constraintsMax = 64;

/** Why a size cannot be taken as it is; undefined when it can. */
export function badSize(size: Size): string | undefined {
  if (size.constraints.length === 0) return `size ${size.id} has no constraints: no machine could match it`;
  if (size.constraints.length > constraintsMax)
    return `${size.constraints.length} constraints exceed ${constraintsMax}`;
  const seen = new Set<string>();
  for (const c of size.constraints) {
    if (c.type === SizeConstraintType.UNSPECIFIED) return "a constraint's type is wanted";
    if (c.max < c.min) return `a constraint's max ${c.max} is below its min ${c.min}`;
    if (c.type === SizeConstraintType.MEMORY && c.identifier !== undefined) return "memory has no identifier";
    if (seen.has(keyOf(c))) return `two constraints are for the same ${keyOf(c)}`;
    seen.add(keyOf(c));
  }
  return undefined;
}

const keyOf = (c: SizeConstraint): string => `type ${c.type} ${c.identifier ?? ""}`.trim();

/** The sizes that some machine could match together with this one: each such machine would have no size at all. */
export const overlapping = (size: Size, others: readonly Size[]): readonly Size[] =>
  others.filter((other) => other.id !== size.id && overlap(size, other));

/**
 * Two sizes are apart when some constraint that both have leaves no common amount, or one demands what the other does not know.
 * With identifiers that differ nobody can tell; those are let be, and a machine that matches both gets no size.
 */
function overlap(a: Size, b: Size): boolean {
  const ofB = new Map(b.constraints.map((c) => [keyOf(c), c]));
  const onlyIn = (one: Size, other: Size) => {
    const known = new Set(other.constraints.map(keyOf));
    return one.constraints.some((c) => !known.has(keyOf(c)) && c.min > 0n);
  };
  if (onlyIn(a, b) || onlyIn(b, a)) return false;
  return a.constraints.every((c) => {
    const other = ofB.get(keyOf(c));
    return other === undefined || (c.min <= other.max && other.min <= c.max);
  });
}
