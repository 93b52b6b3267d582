// A search of all that can become of one machine, by the shipped rules of central and agent: every machine can be given back, and nothing
// goes round without an end.
import assert from "node:assert/strict";
import { test } from "node:test";
import { isInstalled } from "#domain/machine/boot-target.ts";
import { unavailability } from "#domain/machine/placement.ts";
import { after, comesThere, explore } from "./graph.ts";
import type { Standing } from "./standing.ts";
import { remove, type Subject, stepsWith } from "./steps.ts";

/** Empty, in no tenant's network, and to be had. */
const isFree = ({ central, told, observed, server }: Standing): boolean =>
  unavailability({ desired: central, observed }, "uuid") === undefined &&
  told.epoch === central.epoch &&
  server.port === 0n &&
  server.data === 0n &&
  server.runs === "waiting";

const isInUse = ({ central, observed, server }: Standing): boolean =>
  isInstalled(central, observed) && observed.phonedHomeEpoch === central.epoch && server.port === central.epoch;

/** Somebody switched it on before the agent did: it may be anybody's. */
const isNotTakenIn = ({ observed, server }: Standing): boolean => server.isOn && observed.boot === "";

const rests = [isFree, isInUse, isNotTakenIn];

/** Of the others there are 3,240, 5,776 and 3,255: all of them take too long for every run. */
const searches: readonly { readonly subject: Subject; readonly standingsMax: number }[] = [
  { subject: "deaths", standingsMax: Number.POSITIVE_INFINITY },
  { subject: "failures", standingsMax: 1_000 },
  { subject: "reinstallations", standingsMax: 1_000 },
  { subject: "power", standingsMax: 1_000 },
];

for (const { subject, standingsMax } of searches) {
  test(`a machine can be given back whatever it has been through: creation, deletion, ${subject}`, async (t) => {
    const { all, edges } = await explore(stepsWith([subject]), standingsMax);
    t.diagnostic(`${all.size} standings, ${edges} steps between them`);
    const back = new Map<string, number>();
    const atRest = new Map<string, number>();
    let longest = 0;
    let deletions = 0;
    for (const found of all.values()) {
      await comesThere(found, (s) => rests.some((isRest) => isRest(s)), atRest);
      const deleted = await after(found, [remove]);
      if (!deleted) continue;
      deletions++;
      longest = Math.max(longest, await comesThere(deleted, isFree, back));
    }
    t.diagnostic(`${deletions} deletions, each free again after at most ${longest} rounds`);
    assert.ok(deletions > 100 && longest < 30);
  });
}
