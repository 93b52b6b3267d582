import { create } from "@bufbuild/protobuf";
import { newMeta, touched } from "#domain/meta.ts";
import { limited } from "#domain/project/quota.ts";
import { type Quota, QuotaSchema, QuotaService } from "#gen/holdfast/api/v1/quota_pb.ts";
import { unknown, usable } from "../catalog/catalog.ts";
import type { ServicePorts } from "../catalog/ports.ts";
import { causeOf } from "../history/cause.ts";
import { type Implementation, implement } from "../services.ts";
import { kinds } from "../store/kinds.ts";
import { usedBy } from "./keep-quota.ts";

export function quotaService({ state, clock }: ServicePorts): Implementation {
  const used = usedBy(state);
  return implement(QuotaService, {
    get({ project }) {
      if (state.get(kinds.project, project) === undefined) unknown("project", project);
      return { quota: state.get(kinds.quota, project)?.value ?? noQuota(project), used: used(project) };
    },
    async set({ project, limits }, context) {
      const isLimited = limited.some((what) => limits?.[what] !== undefined);
      const { result } = await state.transact((tx) => {
        usable(tx, kinds.project, project, "project");
        const before = tx.get(kinds.quota, project);
        if (!isLimited || !limits) {
          tx.delete(kinds.quota, project);
          return noQuota(project);
        }
        const nowMs = clock.wallMs();
        const meta = before ? touched(before.meta, nowMs) : newMeta(undefined, nowMs);
        const quota = create(QuotaSchema, { project, limits, meta });
        tx.put(kinds.quota, project, quota);
        return quota;
      }, causeOf(context));
      return { quota: result, used: used(project) };
    },
  });
}

/** None is stored of a project without limits, so that its creations need not take turns. */
const noQuota = (project: string): Quota => create(QuotaSchema, { project, limits: {} });
