import { type Cli, say, withApi } from "../cli.ts";
import { Failure } from "../failure.ts";
import type { OutputFlags, ScopeFlags } from "../flags.ts";
import type { Scope, Shown } from "../kind/kind.ts";
import type { Target } from "../settings.ts";

export type ListFlags = ScopeFlags & OutputFlags;
type Load = () => Promise<{ readonly kind: Shown }>;

export const scopeOf = (flags: ScopeFlags, target: Target): Scope => ({
  project: flags.project ?? target.project,
  isAdmin: flags.admin === true,
});

export const listOf = (load: Load) =>
  async function (this: Cli, flags: ListFlags): Promise<void> {
    const { kind } = await load();
    await withApi(this, flags, async (api, target) => {
      say(this, await kind.list(api, scopeOf(flags, target), flags.output, this.clock.wallMs()));
    });
  };

export const describeOf = (noun: string, load: Load) =>
  async function (this: Cli, flags: ListFlags, id: string): Promise<void> {
    const { kind } = await load();
    await withApi(this, flags, async (api, target) => {
      const found = await kind.describe(api, id, scopeOf(flags, target), flags.output);
      if (found === undefined) throw new Failure(`not found: there is no ${noun} ${id}`);
      say(this, found);
    });
  };
