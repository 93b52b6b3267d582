import { Bell } from "#lib/bell.ts";
import type { Terminal } from "../cli.ts";

/** The standard input, key by key where it is a terminal: Ctrl-C is then a key like any other. */
export function openTerminal(): Terminal {
  const { stdin } = process;
  if (stdin.isTTY) stdin.setRawMode(true);
  const bell = new Bell();
  const unread: Uint8Array[] = [];
  let hasEnded = false;
  const onData = (typed: Buffer) => {
    unread.push(typed);
    bell.ring();
  };
  const onEnd = () => {
    hasEnded = true;
    bell.ring();
  };
  stdin.on("data", onData).on("end", onEnd).on("error", onEnd);
  return {
    async *typed(signal) {
      while (!signal.aborted) {
        const rung = bell.wait(signal);
        const next = unread.shift();
        if (next) yield next;
        else if (hasEnded) return;
        else await rung;
      }
    },
    close() {
      stdin.off("data", onData).off("end", onEnd).off("error", onEnd);
      if (stdin.isTTY) stdin.setRawMode(false);
      stdin.pause();
    },
  };
}
