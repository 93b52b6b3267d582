import path from "node:path";
import { buildOsImage } from "./os-image.ts";

const cache = path.resolve(import.meta.dirname, "../../.cache/images");
try {
  const made = await buildOsImage({
    cache,
    report: (step, seconds) => console.log(`${seconds.toFixed(1).padStart(6)} s  ${step}`),
  });
  console.log(`image: ${made.file} ${(made.sizeBytes / 1e6).toFixed(0)} MB sha256:${made.sha256}`);
} catch (error) {
  console.error(`Debian image: ${error instanceof Error ? error.message : error}`);
  process.exitCode = 1;
}
