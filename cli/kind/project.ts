import { ProjectService as AdminProjectService } from "#gen/metalstack/admin/v2/project_pb.ts";
import { ProjectSchema, ProjectService } from "#gen/metalstack/api/v2/project_pb.ts";
import { ageText } from "../view/time.ts";
import { metaLabels, shown } from "./kind.ts";

export const kind = shown({
  schema: ProjectSchema,
  columns: (nowMs) => [
    { title: "UUID", of: (p) => p.uuid },
    { title: "NAME", of: (p) => p.name },
    { title: "TENANT", of: (p) => p.tenant },
    { title: "DESCRIPTION", of: (p) => p.description },
    { title: "LABELS", of: metaLabels, wide: true },
    { title: "AGE", of: (p) => ageText(p.meta?.createdAt, nowMs) },
  ],
  list: async (api, scope) =>
    scope.isAdmin
      ? (await api.client(AdminProjectService).list({})).projects
      : (await api.client(ProjectService).list({})).projects,
  get: async (api, id) => (await api.client(ProjectService).get({ project: id })).project,
});
