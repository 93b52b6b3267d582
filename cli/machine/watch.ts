import { toJson } from "@bufbuild/protobuf";
import { type WatchResponse, WatchResponseSchema } from "#gen/holdfast/api/v1/machine_pb.ts";
import { type Cli, note, say, withApi } from "../cli.ts";
import type { OutputFlags, ScopeFlags } from "../flags.ts";
import { printable } from "../view/table.ts";
import { lastEventText } from "./events.ts";
import { observe } from "./observe.ts";

/** A line for each change, until it is interrupted. */
export async function watchMachines(this: Cli, flags: ScopeFlags & OutputFlags, uuid?: string): Promise<void> {
  await withApi(this, flags, async (api, target) => {
    const project = flags.admin ? undefined : (flags.project ?? target.project);
    const shown = new Map<string, string>();
    const onCut = () => note(this, `${target.server} is away; trying again`);
    const ports = { clock: this.clock, signal: this.signal, onCut };
    for await (const view of observe(api, { uuid, project }, ports)) {
      const id = view.machine?.uuid;
      if (id === undefined) continue;
      if (flags.output === "json") {
        say(this, `${JSON.stringify(toJson(WatchResponseSchema, view))}\n`);
        continue;
      }
      const line = changeText(view);
      // After a cut everything comes once more: only what is new is news.
      if (shown.get(id) === line) continue;
      shown.set(id, line);
      say(this, `${new Date(this.clock.wallMs()).toISOString().slice(11, 19)}  ${line}\n`);
    }
  });
}

export function changeText(view: WatchResponse): string {
  const machine = view.machine;
  if (machine === undefined) return "";
  if (view.deleted) return `${machine.uuid}  gone`;
  const name = machine.allocation?.name ?? "";
  return printable(
    [machine.uuid, name || "-", lastEventText(machine) || "-", view.progress?.why ?? ""]
      .filter((cell) => cell !== "")
      .join("  "),
  );
}
