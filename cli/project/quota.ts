import {
  type QuotaLimits,
  QuotaService,
  type QuotaServiceGetResponse,
  QuotaServiceGetResponseSchema,
  type QuotaUse,
} from "#gen/holdfast/api/v1/quota_pb.ts";
import { type Cli, say, withApi } from "../cli.ts";
import type { ConnectFlags, OutputFlags } from "../flags.ts";
import { type Output, shownText } from "../view/output.ts";
import { table } from "../view/table.ts";

export type QuotaFlags = ConnectFlags & OutputFlags;

export async function showQuota(this: Cli, flags: QuotaFlags, project: string): Promise<void> {
  await withApi(this, flags, async (api) => {
    say(this, quotaText(await api.client(QuotaService).get({ project }), flags.output));
  });
}

export type SetQuotaFlags = QuotaFlags & { readonly [what in (typeof limited)[number]]?: number | undefined };

export async function setQuota(this: Cli, flags: SetQuotaFlags, project: string): Promise<void> {
  const limits = Object.fromEntries(
    limited.flatMap((what) => (flags[what] === undefined ? [] : [[what, flags[what]]])),
  );
  await withApi(this, flags, async (api) => {
    const { quota, used } = await api.client(QuotaService).set({ project, limits });
    const set = { $typeName: QuotaServiceGetResponseSchema.typeName, ...(quota && { quota }), ...(used && { used }) };
    say(this, quotaText(set, flags.output));
  });
}

const limited = ["machines", "ips", "networks"] as const satisfies readonly (keyof QuotaLimits & keyof QuotaUse)[];

const quotaText = (response: QuotaServiceGetResponse, output: Output): string =>
  shownText(QuotaServiceGetResponseSchema, response, output, () =>
    table(
      limited,
      [
        { title: "WHAT", of: (what) => what },
        { title: "USED", of: (what) => `${response.used?.[what] ?? 0}` },
        { title: "LIMIT", of: (what) => `${response.quota?.limits?.[what] ?? ""}` },
      ],
      "narrow",
    ),
  );
