import assert from "node:assert/strict";
import { test } from "node:test";
import { Seeded } from "#lib/seeded.ts";
import { nodeBmcCrypto } from "../io/bmc-crypto.ts";
import type { ServerConsole } from "./serial-console.ts";
import { decodeSol, encodeSol, heard, nothingHeard } from "./sol.ts";
import { pairing } from "./testing/pair.ts";

const pair = pairing(nodeBmcCrypto, () => new Promise<void>((resolve) => setImmediate(resolve)));
const bytes = (text: string) => new TextEncoder().encode(text);

/** What is shown from now on. */
function watching(console: ServerConsole) {
  const shown = { text: "", error: undefined as unknown };
  const leave = new AbortController();
  const reading = (async () => {
    for await (const said of console.output(leave.signal)) shown.text += new TextDecoder().decode(said);
  })().catch((error: unknown) => {
    shown.error = error;
  });
  return { shown, leave, reading };
}

test("what is typed reaches the server once and in order, and what it says is shown once, though packets are lost and doubled", async () => {
  const { bmc, responder, ends } = pair();
  const console = await ends(bmc.openConsole({ takeOver: false }));
  const { shown } = watching(console);
  const { lies, serial } = responder;
  const words = Array.from({ length: 40 }, (_, i) => `word ${i} `);
  for (const [i, word] of words.entries()) {
    if (i % 3 === 0) lies.lostRequests = 1;
    if (i % 4 === 0) lies.lostAnswers = 1;
    lies.everythingTwice = i % 2 === 0;
    await ends(console.write(bytes(word)));
  }
  assert.equal(serial.typed, words.join(""));
  assert.equal(shown.text, words.join("").toUpperCase());
  await ends(console.sendBreak());
  assert.equal(serial.breaks, 1);
  await ends(console.close());
  assert.equal(responder.openSessions, 0);
});

test("a BMC that takes few characters at a time gets the rest later; a line longer than a packet is cut", async () => {
  const { bmc, responder, ends } = pair();
  const console = await ends(bmc.openConsole({ takeOver: false }));
  responder.serial.takesMax = 7;
  const text = "0123456789".repeat(20);
  await ends(Promise.all([console.write(bytes(text)), console.write(bytes("after it"))]));
  assert.equal(responder.serial.typed, `${text}after it`);
  await ends(console.close());
});

test("a server that takes nothing is said to, and a BMC that is gone ends the console", async () => {
  const { bmc, responder, clock, ends } = pair();
  const console = await ends(bmc.openConsole({ takeOver: false }));
  const { shown, reading } = watching(console);
  responder.serial.isAway = true;
  await assert.rejects(ends(console.write(bytes("x"))), /no character was taken in 15000 ms/);
  responder.restart();
  await ends(clock.sleep(60_000));
  await reading;
  assert.match(String(shown.error), /Get Payload Instance Info.*no answer/);
  await assert.rejects(ends(console.write(bytes("x"))), /no answer/);
  await ends(console.close());
});

test("a BMC that is closed closes its consoles", async () => {
  const { bmc, responder, ends } = pair();
  const { shown, reading } = watching(await ends(bmc.openConsole({ takeOver: false })));
  await ends(bmc.close());
  await ends(reading);
  assert.deepEqual([shown.error, responder.openSessions], [undefined, 0]);
});

test("a console that the BMC does not offer leaves no session", async () => {
  const { bmc, responder, ends } = pair();
  responder.chassis.unknown.add("6/72");
  await assert.rejects(ends(bmc.openConsole({ takeOver: true })), /Activate Payload .* refused with 0xc1/);
  assert.equal(responder.openSessions, 0);
});

test("a serial payload: what was encoded decodes to itself, and any bytes return", () => {
  const random = new Seeded(3);
  for (let i = 0; i < 500; i++) {
    const packet = {
      sequence: random.below(16),
      acknowledged: random.below(16),
      accepted: random.below(256),
      flags: random.below(256),
      characters: random.bytes(random.below(60)),
    };
    assert.deepEqual(decodeSol(encodeSol(packet)), { ok: true, value: packet });
    decodeSol(random.bytes(random.below(8)));
  }
});

test("a packet that is repeated brings only what it has more than before", () => {
  const packet = (sequence: number, text: string) => ({
    sequence,
    acknowledged: 0,
    accepted: 0,
    flags: 0,
    characters: bytes(text),
  });
  const first = heard(nothingHeard, packet(1, "ab"));
  const again = heard(first.last, packet(1, "abcd"));
  const other = heard(again.last, packet(2, "ef"));
  const none = heard(other.last, packet(0, "no"));
  assert.deepEqual(
    [first, again, other, none].map(({ fresh }) => new TextDecoder().decode(fresh)),
    ["ab", "cd", "ef", ""],
  );
});
