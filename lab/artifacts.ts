import { copyFileSync, mkdirSync, rmSync, symlinkSync } from "node:fs";
import path from "node:path";
import { bootProgramFolder } from "./daemons.ts";
import { buildInitrd } from "./images/initrd.ts";
import { buildOsImage } from "./images/os-image.ts";
import type { LabPlan } from "./plan.ts";
import { type Running, start } from "./process.ts";

/** Files that the project builds itself, with their SHA-256 in lower-case hex. */
export interface BuiltFiles {
  readonly kernel: BuiltFile;
  readonly initrd: BuiltFile;
  readonly os: BuiltFile;
  /** Starts what is on the disk of a UEFI server that came by the network. */
  readonly localEfi: BuiltFile;
}

export interface BuiltFile {
  readonly file: string;
  readonly sha256: string;
}

/** Where the partition gets them, each with its digest as `#sha256=…`. */
export interface Artifacts {
  readonly kernelUrl: string;
  readonly initrdUrl: string;
  readonly osUrl: string;
}

/** Built once and kept; downloads Debian's packages, so it must run outside of the lab's namespace. */
export async function buildFiles(cache: string, report: (text: string) => void): Promise<BuiltFiles> {
  const step = (name: string, seconds: number) => {
    if (seconds >= 1) report(`${name}: ${seconds.toFixed(1)} s`);
  };
  const installer = await buildInitrd({ cache, report: step });
  const os = await buildOsImage({ cache, report: step });
  return {
    kernel: { file: installer.kernel, sha256: installer.sha256.kernel },
    initrd: { file: installer.initrd, sha256: installer.sha256.initrd },
    os: { file: os.file, sha256: os.sha256 },
    localEfi: { file: installer.localEfi, sha256: installer.sha256.localEfi },
  };
}

const names = { kernel: "kernel", initrd: "initrd", os: "os.tar" } as const;

export function artifactsAt(plan: LabPlan, files: BuiltFiles): Artifacts {
  const url = (kind: keyof typeof names) =>
    `http://${plan.core}:${plan.imagePort}/${names[kind]}#sha256=${files[kind].sha256}`;
  return { kernelUrl: url("kernel"), initrdUrl: url("initrd"), osUrl: url("os") };
}

/** Lays out what the agent's boot server hands out beside Debian's iPXE. */
export function layBootPrograms(plan: LabPlan, files: BuiltFiles): void {
  const folder = bootProgramFolder(plan);
  rmSync(folder, { recursive: true, force: true });
  mkdirSync(folder, { recursive: true });
  copyFileSync(files.localEfi.file, path.join(folder, "local.efi"));
}

export interface StaticServer {
  readonly folder: string;
  readonly running: Running;
}

/** A plain web server of its own process, so that it takes nothing from whom it serves. */
export function serveFiles(
  plan: LabPlan,
  files: BuiltFiles,
  at: { readonly address: string; readonly port: number; readonly name: string; readonly inside?: readonly string[] },
) {
  const folder = path.join(plan.folder, at.name);
  rmSync(folder, { recursive: true, force: true });
  mkdirSync(folder, { recursive: true });
  for (const kind of ["kernel", "initrd", "os"] as const)
    symlinkSync(path.resolve(files[kind].file), path.join(folder, names[kind]));
  const command = ["busybox", "httpd", "-f", "-p", `${at.address}:${at.port}`, "-h", folder];
  const running = start([...(at.inside ?? []), ...command], {
    name: at.name,
    log: path.join(plan.folder, `${at.name}.log`),
  });
  return { folder, running } satisfies StaticServer;
}
