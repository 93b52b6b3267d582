// What is typed into a console, and what is meant for the program itself: at the beginning of a line, `~.` leaves, `~b` sends a break,
// and `~~` types a tilde, as ssh has it.

export interface Keys {
  readonly input: Uint8Array;
  /** After the input; what was typed later is in `rest`. */
  readonly meant: "nothing" | "break" | "leave";
  readonly rest: Uint8Array;
  readonly at: Place;
}

/** Where the next key falls. */
export type Place = "line start" | "tilde" | "line";

const tilde = 0x7e;

export function keysIn(typed: Uint8Array, from: Place): Keys {
  const input: number[] = [];
  let at = from;
  for (const [i, key] of typed.entries()) {
    const meant = at === "tilde" ? meantBy(key) : "nothing";
    if (meant !== "nothing")
      return { input: Uint8Array.from(input), meant, rest: typed.subarray(i + 1), at: "line start" };
    if (at === "line start" && key === tilde) {
      at = "tilde";
      continue;
    }
    // A tilde that meant nothing to us was typed for the server.
    if (at === "tilde" && key !== tilde) input.push(tilde);
    input.push(key);
    at = key === 0x0d || key === 0x0a ? "line start" : "line";
  }
  return { input: Uint8Array.from(input), meant: "nothing", rest: new Uint8Array(), at };
}

function meantBy(key: number): Keys["meant"] {
  if (key === ".".charCodeAt(0)) return "leave";
  return key === "b".charCodeAt(0) || key === "B".charCodeAt(0) ? "break" : "nothing";
}
