import { decodeSol, encodeSol, solFlags } from "../sol.ts";

/** The serial port of a server that says everything back in capitals, as its BMC serves it. */
export class SerialPort {
  /** Characters taken of one packet, at most. */
  takesMax = 255;
  isAway = false;
  /** What was typed, every character that reached the server. */
  typed = "";
  breaks = 0;
  #last = 0;
  #answer: Uint8Array | undefined;
  #sequence = 0;

  /** To a packet that came again, the same answer is given again. */
  answer(payload: Uint8Array): Uint8Array | undefined {
    const decoded = decodeSol(payload);
    if (!decoded.ok || decoded.value.sequence === 0) return undefined;
    const { sequence, characters, flags } = decoded.value;
    if (this.isAway) {
      const refused = solFlags.notAcknowledged | solFlags.unavailable;
      return encodeSol({
        sequence: 0,
        acknowledged: sequence,
        accepted: 0,
        flags: refused,
        characters: new Uint8Array(),
      });
    }
    if (sequence === this.#last) return this.#answer;
    this.#last = sequence;
    const taken = new TextDecoder().decode(characters.subarray(0, this.takesMax));
    this.typed += taken;
    if (flags & solFlags.break) this.breaks += 1;
    this.#sequence = (this.#sequence % 15) + 1;
    this.#answer = encodeSol({
      sequence: this.#sequence,
      acknowledged: sequence,
      accepted: taken.length,
      flags: 0,
      characters: new TextEncoder().encode(taken.toUpperCase()),
    });
    return this.#answer;
  }
}
