// Serial consoles that people on site have open. Who had one and until when is in the audit trail; what was typed is not.
import { create } from "@bufbuild/protobuf";
import { type OpenConsoleResponse, OpenConsoleResponseSchema } from "#gen/holdfast/site/v1/site_pb.ts";
import type { Random } from "#lib/random.ts";
import { reasonOf } from "#lib/reason-of.ts";
import { Refusal } from "#lib/refusal.ts";
import type { Bmc } from "../bmc/bmc.ts";
import type { ServerConsole } from "../bmc/serial-console.ts";
import type { Act, AuditTrail } from "./audit.ts";

/** Of all machines together. */
const openMax = 32;

export interface ConsolesPorts {
  readonly audit: AuditTrail;
  readonly bmcOf: (uuid: string) => Bmc | undefined;
  readonly random: Random;
}

export class Consoles {
  readonly #ports: ConsolesPorts;
  readonly #open = new Map<string, ServerConsole | undefined>();

  constructor(ports: ConsolesPorts) {
    this.#ports = ports;
  }

  /** Opens a machine's console and shows what the server says, until the signal aborts or the BMC ends it. @throws Refusal */
  async *show(
    act: Act,
    { uuid, takeOver }: { readonly uuid: string; readonly takeOver: boolean },
    signal: AbortSignal,
  ): AsyncGenerator<OpenConsoleResponse> {
    const { audit, random } = this.#ports;
    const open = await audit.checking(act, () => this.#openerOf(uuid));
    await audit.begun(act);
    const id = random.uuid();
    this.#open.set(id, undefined);
    let serial: ServerConsole | undefined;
    let error = "";
    try {
      serial = await open({ takeOver }, signal);
      this.#open.set(id, serial);
      yield create(OpenConsoleResponseSchema, { uuid, console: id });
      for await (const output of serial.output(signal))
        yield create(OpenConsoleResponseSchema, { uuid, console: id, output: output.slice() });
    } catch (cause) {
      if (!signal.aborted) error = reasonOf(cause);
      throw failed(cause, uuid);
    } finally {
      this.#open.delete(id);
      await serial?.close();
      await audit.ended(act, error);
    }
  }

  /** Resolves when the BMC has taken it. @throws Refusal */
  async write(id: string, input: Uint8Array, thenBreak: boolean): Promise<void> {
    const serial = this.#open.get(id);
    if (!serial)
      throw new Refusal("not-found", `console ${id} is not open, or not any more`, { reason: "CONSOLE_CLOSED" });
    try {
      await serial.write(input);
      if (thenBreak) await serial.sendBreak();
    } catch (cause) {
      throw failed(cause, undefined);
    }
  }

  #openerOf(uuid: string): NonNullable<Bmc["openConsole"]> {
    const bmc = this.#ports.bmcOf(uuid);
    if (!bmc)
      throw new Refusal("precondition", `no BMC with the GUID of machine ${uuid} was found`, { reason: "NO_BMC" });
    if (!bmc.openConsole) {
      const text = `the BMC of machine ${uuid} has no console that this agent can open`;
      throw new Refusal("unimplemented", text, { reason: "NO_CONSOLE" });
    }
    if (this.#open.size >= openMax) {
      const text = `${openMax} consoles of this site are open: wait until one is closed`;
      throw new Refusal("exhausted", text, { reason: "CONSOLES_FULL" });
    }
    return bmc.openConsole.bind(bmc);
  }
}

function failed(cause: unknown, uuid: string | undefined): Refusal {
  if (cause instanceof Refusal) return cause;
  const of = uuid === undefined ? "" : ` of machine ${uuid}`;
  return new Refusal("unavailable", `the console${of}: ${reasonOf(cause)}`, { reason: "BMC_FAILED" });
}
