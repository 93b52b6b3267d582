// Runs seeds until one fails; prints its number and why. Arguments: the first seed and the last. For the mutants, each in a copy of the sources.
import { runSeed } from "./run.ts";

const [first = 1, last = 2000] = process.argv.slice(2).map(Number);
for (let seed = first; seed <= last; seed++) {
  const { failure } = await runSeed(seed);
  if (failure === undefined) continue;
  console.log(`${seed} ${failure.split("\n", 1)[0]}`);
  break;
}
process.exit();
