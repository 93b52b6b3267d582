import type { Project, ProjectQuery } from "#gen/metalstack/api/v2/project_pb.ts";
import { hasLabels } from "../meta.ts";

export const projectMatches = (project: Project, q: ProjectQuery | undefined): boolean =>
  q === undefined ||
  ((q.uuid === undefined || project.uuid === q.uuid) &&
    (q.name === undefined || project.name === q.name) &&
    (q.tenant === undefined || project.tenant === q.tenant) &&
    hasLabels(project.meta, q.labels));
