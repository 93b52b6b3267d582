import {
  HealthSchema,
  HealthService,
  ServiceSchema,
  ServiceStatus,
  ServiceStatusSchema,
} from "#gen/metalstack/api/v2/health_pb.ts";
import { VersionSchema, VersionService } from "#gen/metalstack/api/v2/version_pb.ts";
import { type Cli, say, withApi } from "../cli.ts";
import { Failure } from "../failure.ts";
import type { ConnectFlags, OutputFlags } from "../flags.ts";
import { enumText } from "../view/enum-text.ts";
import { isForPeople, oneText } from "../view/output.ts";
import { table } from "../view/table.ts";

type ServerFlags = ConnectFlags & OutputFlags;

export async function version(this: Cli, flags: ServerFlags): Promise<void> {
  const forPeople = isForPeople(flags.output);
  if (forPeople) say(this, `holdfast  ${this.version}\n`);
  await withApi(this, flags, async (api, target) => {
    const answer = (await api.client(VersionService).get({})).version;
    if (answer === undefined) throw new Failure(`${target.server} does not tell its version`);
    const text = [answer.version, answer.gitSha1, answer.buildDate].filter((part) => part !== "").join(" ");
    say(this, forPeople ? `server    ${text} at ${target.server}\n` : oneText(VersionSchema, answer, flags.output));
  });
}

/** Ends with 1 when anything is unhealthy, so that scripts can ask. */
export async function health(this: Cli, flags: ServerFlags): Promise<void> {
  await withApi(this, flags, async (api) => {
    const answer = (await api.client(HealthService).get({})).health;
    const services = answer?.services ?? [];
    const rows = services.flatMap((s) => [
      { name: enumText(ServiceSchema, s.name), partition: "", status: s.status, message: s.message },
      ...Object.entries(s.partitions).map(([partition, p]) => ({
        name: enumText(ServiceSchema, s.name),
        partition,
        ...p,
      })),
    ]);
    if (answer && !isForPeople(flags.output)) say(this, oneText(HealthSchema, answer, flags.output));
    else {
      const columns = [
        { title: "SERVICE", of: (r: (typeof rows)[number]) => r.name },
        { title: "PARTITION", of: (r: (typeof rows)[number]) => r.partition },
        { title: "STATUS", of: (r: (typeof rows)[number]) => enumText(ServiceStatusSchema, r.status) },
        { title: "MESSAGE", of: (r: (typeof rows)[number]) => r.message },
      ];
      say(this, table(rows, columns, "narrow"));
    }
    const sick = rows.filter((r) => r.status === ServiceStatus.UNHEALTHY);
    if (sick.length > 0) throw new Failure(`unhealthy: ${[...new Set(sick.map((r) => r.name))].join(", ")}`);
  });
}
