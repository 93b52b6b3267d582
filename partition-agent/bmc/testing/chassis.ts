import { completion } from "../completion-code.ts";
import type { IpmiRequest } from "../ipmi-message.ts";

export interface Outcome {
  readonly code: number;
  readonly content: Uint8Array;
}

const answer = (...bytes: readonly number[]): Outcome => ({ code: completion.ok, content: Uint8Array.from(bytes) });
const refuse = (code: number): Outcome => ({ code, content: new Uint8Array() });

/** The server behind a BMC in memory, and the record of what was done to it. */
export class Chassis {
  isOn = false;
  light: "off" | "on" | number = "off";
  /** Parameter 5 of the boot options. */
  bootFlags = Uint8Array.of(0, 0, 0, 0, 0);
  /** Commands that this BMC does not know, as `netFn/command`. */
  readonly unknown = new Set<string>();
  /** What was carried out that changes something, oldest first. */
  readonly done: string[] = [];
  readonly #guid: Uint8Array;

  constructor(guid: Uint8Array) {
    this.#guid = guid;
  }

  carryOut(request: IpmiRequest): Outcome {
    const name = `${request.netFn}/${request.command}`;
    if (this.unknown.has(name)) return refuse(completion.unknownCommand);
    switch (name) {
      case `0/${0x01}`:
        return answer(this.isOn ? 0x21 : 0x20, 0, 0);
      case `0/${0x02}`:
        return this.#control(request.content);
      case `0/${0x04}`:
        return this.#identify(request.content);
      case `0/${0x08}`:
        return this.#setBootOption(request.content);
      case `0/${0x09}`:
        return answer(1, 5, ...this.bootFlags);
      case `6/${0x01}`:
        return answer(0x20, 0x81, 0x02, 0x17, 0x02, 0x9f, 0xa2, 0x02, 0x00, 0x34, 0x12);
      case `6/${0x48}`:
        return answer(0, 0, 0, 0, 44, 0, 44, 0, 0x6f, 0x02, 0xff, 0xff);
      case `6/${0x49}`:
        return answer();
      case `6/${0x4b}`:
        return answer(7, 0, 0, 0);
      case `6/${0x37}`:
        return answer(...this.#guid);
      case `6/${0x3b}`:
        return answer(request.content[0] ?? 0);
      case `12/${0x02}`:
        return answer(0x11, 0x52, 0x54, 0, 0xbb, 0, 1);
      default:
        return refuse(completion.unknownCommand);
    }
  }

  #control(content: Uint8Array): Outcome {
    const action = ["off", "on", "cycle", "reset", "diagnose", "soft"][content[0] ?? 255];
    if (action === undefined) return refuse(0xcc);
    if (!this.isOn && ["cycle", "reset", "soft"].includes(action)) return refuse(completion.wrongState);
    this.isOn = action === "on" || action === "cycle" || action === "reset";
    this.done.push(action);
    return answer();
  }

  #identify(content: Uint8Array): Outcome {
    const [seconds = 15, force] = content;
    if (force !== undefined && this.unknown.has("identify for ever")) return refuse(0xc7);
    this.light = force === 1 ? "on" : seconds === 0 ? "off" : seconds;
    return answer();
  }

  #setBootOption(content: Uint8Array): Outcome {
    if (content[0] === 4 && this.unknown.has("boot info")) return refuse(0x80);
    if (content[0] === 5) {
      this.bootFlags = content.slice(1, 6);
      this.done.push("boot flags");
    }
    return answer();
  }
}
