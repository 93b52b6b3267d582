import type { MachineHardware } from "#gen/metalstack/api/v2/machine_pb.ts";
import { type Size, type SizeConstraint, SizeConstraintType } from "#gen/metalstack/api/v2/size_pb.ts";
import { fail, ok, type Result } from "#lib/result.ts";

/**
 * The one size that a machine's hardware matches: every constraint holds, and every CPU, disk and GPU is covered by one.
 * @returns the size's id, or why there is none
 */
export function sizeOf(hardware: MachineHardware, sizes: readonly Size[]): Result<string> {
  const matching = sizes.filter((size) => matchesSize(hardware, size));
  const [only] = matching;
  if (matching.length === 1 && only) return ok(only.id);
  if (matching.length > 1)
    return fail(`sizes ${matching.map((s) => s.id).join(", ")} all match: their constraints overlap`);
  return fail(`no size matches ${describeHardware(hardware)}`);
}

export function matchesSize(hardware: MachineHardware, size: Size): boolean {
  if (size.constraints.length === 0) return false;
  return (
    size.constraints.every((c) => {
      const amount = amountOf(hardware, c);
      return amount >= c.min && amount <= c.max;
    }) &&
    isCovered(
      hardware.cpus.map((c) => c.model),
      size,
      SizeConstraintType.CORES,
    ) &&
    isCovered(
      hardware.disks.map((d) => d.name),
      size,
      SizeConstraintType.STORAGE,
    ) &&
    isCovered(
      hardware.gpus.map((g) => g.model),
      size,
      SizeConstraintType.GPU,
    )
  );
}

function amountOf(hardware: MachineHardware, c: SizeConstraint): bigint {
  const fits = (name: string) => c.identifier === undefined || matchesGlob(c.identifier, name);
  switch (c.type) {
    case SizeConstraintType.CORES:
      return hardware.cpus.filter((cpu) => fits(cpu.model)).reduce((sum, cpu) => sum + BigInt(cpu.cores), 0n);
    case SizeConstraintType.MEMORY:
      return hardware.memory;
    case SizeConstraintType.STORAGE:
      return hardware.disks.filter((disk) => fits(disk.name)).reduce((sum, disk) => sum + disk.size, 0n);
    case SizeConstraintType.GPU:
      return BigInt(hardware.gpus.filter((gpu) => fits(gpu.model)).length);
    default:
      return -1n;
  }
}

/** Every part is named by some constraint of its type. Machines without such parts need no constraint. */
function isCovered(parts: readonly string[], size: Size, type: SizeConstraintType): boolean {
  const constraints = size.constraints.filter((c) => c.type === type);
  return parts.every((part) => constraints.some((c) => c.identifier === undefined || matchesGlob(c.identifier, part)));
}

/** `*` is any text, `?` any one character. Goes back to the last `*` only, so that no pattern takes long on any text. */
function matchesGlob(glob: string, text: string): boolean {
  let at = 0;
  let star = -1;
  let tried = 0;
  for (let i = 0; i < text.length; ) {
    if (glob[at] === "*") {
      star = at++;
      tried = i;
    } else if (glob[at] === "?" || glob[at] === text[i]) {
      at++;
      i++;
    } else if (star >= 0) {
      at = star + 1;
      i = ++tried;
    } else return false;
  }
  return /^\**$/.test(glob.slice(at));
}

const describeHardware = (h: MachineHardware): string =>
  `${h.cpus.reduce((n, c) => n + c.cores, 0)} cores, ${h.memory} bytes of memory, ` +
  `${h.disks.reduce((n, d) => n + d.size, 0n)} bytes on ${h.disks.length} disks, ${h.gpus.length} GPUs`;
