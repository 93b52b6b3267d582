import { runSeed, faultsOf } from "./run.ts";
const from = Number(process.argv[2] ?? 1), n = Number(process.argv[3] ?? 1);
const t0 = performance.now();
let fails = 0, ev=0, vm=0;
for (let s = from; s < from + n; s++) {
  const t1 = performance.now();
  const o = await runSeed(s, process.argv[4] === "none" ? [] : faultsOf(s));
  ev += o.events; vm += o.virtualMs;
  if (n === 1) for (const l of o.trace) console.log(l.slice(0, 240));
  if (o.failure) fails++;
  console.log(s, o.faults.length, "faults", o.events, "events", (o.virtualMs / 60000).toFixed(0), "min", (performance.now() - t1).toFixed(0), "ms", o.digest.slice(0, 8), o.failure?.slice(0, 300) ?? "ok");
}
console.log(fails, "of", n, "failed;", ((performance.now() - t0) / n).toFixed(0), "ms a seed", (ev/(performance.now()-t0)*1000).toFixed(0),"events/s");
