// Runs seeds from 1 on until one fails; prints its number and why. For the mutants, each in a copy of the sources.
import { runSeed } from "./run.ts";

const most = Number(process.argv[2] ?? 2000);
for (let seed = 1; seed <= most; seed++) {
  const { failure } = await runSeed(seed);
  if (failure === undefined) continue;
  console.log(`${seed} ${failure.split("\n", 1)[0]}`);
  break;
}
process.exit();
