import path from "node:path";
import { buildInitrd } from "./initrd.ts";

const flavour = process.argv.includes("--generic") ? "generic" : "cloud";
const cache = path.resolve(import.meta.dirname, "../../.cache/images");
const report = (step: string, seconds: number) => console.log(`${seconds.toFixed(1).padStart(6)} s  ${step}`);
try {
  const made = await buildInitrd({ cache, flavour, report });
  console.log(`kernel ${made.kernelVersion}: ${made.kernel} sha256:${made.sha256.kernel}`);
  console.log(`initrd: ${made.initrd} sha256:${made.sha256.initrd}`);
  console.log(`local boot: ${made.localEfi} sha256:${made.sha256.localEfi}`);
} catch (error) {
  console.error(`npm run initrd: ${error instanceof Error ? error.message : error}`);
  process.exitCode = 1;
}
