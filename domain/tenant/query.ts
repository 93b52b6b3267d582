import type { Tenant, TenantQuery } from "#gen/metalstack/api/v2/tenant_pb.ts";
import { hasLabels } from "../meta.ts";

export const tenantMatches = (tenant: Tenant, q: TenantQuery | undefined): boolean =>
  q === undefined ||
  ((q.login === undefined || tenant.login === q.login) &&
    (q.name === undefined || tenant.name === q.name) &&
    hasLabels(tenant.meta, q.labels));

/** Entries of one page. */
export const pageMax = 1_000;

/** @returns the page's entries, and the number of the next page when there is one */
export function page<T>(
  all: readonly T[],
  paging: { readonly page?: bigint | undefined; readonly count?: bigint | undefined } | undefined,
): { readonly entries: readonly T[]; readonly next: bigint | undefined } {
  if (paging?.count === undefined && paging?.page === undefined) return { entries: all, next: undefined };
  const count = Math.min(Number(paging.count ?? 100n), pageMax);
  const at = Number(paging.page ?? 0n);
  const entries = all.slice(at * count, (at + 1) * count);
  return { entries, next: (at + 1) * count < all.length && count > 0 ? BigInt(at + 1) : undefined };
}
