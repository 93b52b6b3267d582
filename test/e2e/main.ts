// The whole journey on real firmware: `npm run lab -- --demo`, or with `--autonomy` that one, within ten minutes. The lab prints one line per stage and
// ends with `N passed, N failed, N skipped`; arguments are handed on to it.
import { spawn } from "node:child_process";
import path from "node:path";

const top = path.resolve(import.meta.dirname, "../..");
const deadlineMs = 600_000;
const graceMs = 20_000;

const given = process.argv.slice(2);
const task = given.includes("--autonomy") ? [] : ["--demo"];
const args = ["--import", "tsx", "lab/main.ts", ...task, "--yes", "--dir", ".holdfast/e2e", ...given];
const lab = spawn(process.execPath, args, { cwd: top, stdio: ["ignore", "pipe", "inherit"] });
let last = "";
lab.stdout.setEncoding("utf8").on("data", (text: string) => {
  process.stdout.write(text);
  last = (last + text).slice(-4096);
});
let isLate = false;
const timer = setTimeout(() => {
  isLate = true;
  lab.kill("SIGTERM");
  setTimeout(() => lab.kill("SIGKILL"), graceMs).unref();
}, deadlineMs);
const code = await new Promise<number>((resolve) => lab.once("close", (exit) => resolve(exit ?? 1)));
clearTimeout(timer);

const count = [...last.matchAll(/^(\d+) passed, (\d+) failed, (\d+) skipped$/gm)].at(-1);
if (isLate) console.log(`the journey took longer than ${deadlineMs / 1000} s`);
// A lab that did not come to its end has failed, whatever it had passed before.
if (!count) console.log("0 passed, 1 failed, 0 skipped");
process.exitCode = code === 0 && count?.[2] === "0" && !isLate ? 0 : 1;
