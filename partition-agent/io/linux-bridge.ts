import { execFile } from "node:child_process";
import {
  bridgeOutput,
  bridgeState,
  commandsOf,
  type Owned,
  ownedState,
  readCommand,
  shows,
} from "../switch/linux-bridge.ts";
import type { SwitchDriver, SwitchEdit, SwitchState } from "../switch/switch.ts";

export interface LinuxBridgeOptions extends Owned {
  /** Name of the switch. */
  readonly id: string;
  /** Put before every command, such as `ip netns exec leaf1`; absent: this process's own network namespace. */
  readonly prefix?: readonly string[];
  /** One command's. */
  readonly deadlineMs?: number;
}

const outputBytesMax = 8 << 20;

/** This host's bridges as a switch. Needs CAP_NET_ADMIN to change anything. Calls run one after the other. */
export class LinuxBridge implements SwitchDriver {
  readonly #options: LinuxBridgeOptions;
  #tail: Promise<unknown> = Promise.resolve();

  constructor(options: LinuxBridgeOptions) {
    this.#options = options;
  }

  read(signal: AbortSignal): Promise<SwitchState> {
    return this.#next(async () => ownedState(await this.#read(signal), this.#options));
  }

  apply(edits: readonly SwitchEdit[], signal: AbortSignal): Promise<void> {
    return this.#next(async () => {
      for (const edit of edits) await this.#carryOut(edit, await this.#read(signal), signal);
      const state = await this.#read(signal);
      for (const edit of edits) {
        if (!shows(state, edit))
          throw new Error(`switch ${this.#options.id}: ${editText(edit)} was accepted and cannot be seen`);
      }
    });
  }

  async #carryOut(edit: SwitchEdit, state: SwitchState, signal: AbortSignal): Promise<void> {
    const commands = commandsOf(edit, state, this.#options);
    if (!commands.ok) throw new Error(`switch ${this.#options.id}: ${editText(edit)}: ${commands.error}`);
    for (const command of commands.value) await this.#run(command, signal);
  }

  async #read(signal: AbortSignal): Promise<SwitchState> {
    const state = bridgeState(this.#options.id, bridgeOutput(await this.#run(readCommand, signal)));
    if (state.ok) return state.value;
    throw new Error(`switch ${this.#options.id}: ${state.error}`);
  }

  #run(command: readonly string[], signal: AbortSignal): Promise<string> {
    const { prefix = [], deadlineMs = 5000, id } = this.#options;
    const [program = "", ...args] = [...prefix, ...command];
    const options = { timeout: deadlineMs, killSignal: "SIGKILL" as const, maxBuffer: outputBytesMax, signal };
    return new Promise((resolve, reject) => {
      execFile(program, args, options, (error, stdout, stderr) => {
        if (error === null) return resolve(stdout);
        if (signal.aborted) return reject(signal.reason);
        const how = error.killed ? `no end after ${deadlineMs} ms` : stderr.trim().slice(0, 500) || error.message;
        reject(new Error(`switch ${id}: ${command.join(" ")}: ${how}`, { cause: error }));
      });
    });
  }

  #next<T>(work: () => Promise<T>): Promise<T> {
    const result = this.#tail.then(work);
    this.#tail = result.catch(() => undefined);
    return result;
  }
}

function editText(edit: SwitchEdit): string {
  switch (edit.kind) {
    case "create-network":
    case "remove-network":
      return `${edit.kind} ${edit.network}`;
    case "add-gateway":
    case "remove-gateway":
      return `${edit.kind} ${edit.gateway} ${edit.network}`;
    case "move-port":
      return `move port ${edit.port} to ${edit.network}`;
    case "enable-port":
    case "disable-port":
      return `${edit.kind} ${edit.port}`;
  }
}
