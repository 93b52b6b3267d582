import type { QuotaLimits } from "#gen/holdfast/api/v1/quota_pb.ts";

/** What can be limited, by its name in the API. */
export const limited = ["machines", "ips", "networks"] as const;
export type Limited = (typeof limited)[number];
export type Amounts = Readonly<Record<Limited, number>>;

/**
 * What a change may not do to a project: have more of something than before, and more than the limit. So a project that has too much
 * already may still change what does not add to it.
 * @returns why not, in words
 */
export function overQuota(limits: QuotaLimits | undefined, before: Amounts, after: Amounts): string | undefined {
  const over = limited.find((what) => after[what] > before[what] && after[what] > (limits?.[what] ?? Infinity));
  if (over === undefined) return undefined;
  const [has, more] = [before[over], after[over] - before[over]];
  return `it has ${has} ${names[over]} of the ${limits?.[over]} that its quota allows, and wants ${more} more`;
}

const names: Readonly<Record<Limited, string>> = { machines: "machines", ips: "addresses", networks: "networks" };
