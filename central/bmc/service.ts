// metalstack.infra.v2.BMCService for partitions without an agent: the daemon that talks to their BMCs reports to central, and asks
// it for orders.
import { create } from "@bufbuild/protobuf";
import type { ServiceImpl } from "@connectrpc/connect";
import { noteOutcome } from "#domain/machine/due-commands.ts";
import { type BMCService, UpdateBMCInfoResponseSchema } from "#gen/metalstack/infra/v2/bmc_pb.ts";
import { Refusal } from "#lib/refusal.ts";
import { type BootPorts, observe } from "../boot/observe.ts";
import { causeOf } from "../history/cause.ts";
import { takeBmcReports } from "./reports.ts";
import { parseCommandId, waitForCommands } from "./wait.ts";

/** Longest reason that is kept of a command that failed. */
const errorMax = 1024;

export function bmcService(ports: BootPorts): ServiceImpl<typeof BMCService> {
  const { clock, log } = ports;
  return {
    updateBMCInfo: async ({ partition, bmcReports }, context) =>
      create(UpdateBMCInfoResponseSchema, await takeBmcReports(ports, partition, bmcReports, causeOf(context))),

    waitForBMCCommand: ({ partition }, context) => waitForCommands(ports, partition, context.signal),

    async bMCCommandDone({ commandId, error }, context) {
      const unknown = () =>
        new Refusal("not-found", `command ${commandId.slice(0, 128)} was never given`, { field: "command_id" });
      const command = parseCommandId(commandId);
      if (!command) throw unknown();
      const { uuid, id } = command;
      // Said without words it is an error all the same.
      const text = error === undefined ? "" : error.slice(0, errorMax) || "failed, with no reason told";
      await observe(ports, uuid, causeOf(context), (m, desired) => {
        if (!noteOutcome(m, { desired }, { id, error: text, nowMs: clock.wallMs() })) throw unknown();
      });
      log.info("bmc-command-done", { machine: uuid, command: id, ...(text !== "" && { error: text }) });
      return {};
    },
  };
}
