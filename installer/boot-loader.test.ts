import assert from "node:assert/strict";
import { test } from "node:test";
import { biosBootLoader, chooseKernel, grubConfig, kernelCommandLine } from "./boot-loader.ts";

test("BIOS boot code points at core.img, and core.img at its rest", () => {
  const writes = biosBootLoader(
    { boot: new Uint8Array(512).fill(1), core: new Uint8Array(1300).fill(2) },
    { firstSector: 34, sectorsMax: 2014 },
  );
  assert.ok(writes.ok);
  const [code, core] = writes.value;
  assert.deepEqual([code?.at, code?.bytes.length, core?.at, core?.bytes.length], [0, 440, 34 * 512, 3 * 512]);
  assert.deepEqual([...(code?.bytes.subarray(0x5c, 0x68) ?? [])], [34, 0, 0, 0, 0, 0, 0, 0, 1, 1, 0x90, 0x90]);
  assert.deepEqual([...(core?.bytes.subarray(500, 510) ?? [])], [35, 0, 0, 0, 0, 0, 0, 0, 2, 0]);
});

test("a boot loader that does not fit is refused with its size", () => {
  const r = biosBootLoader(
    { boot: new Uint8Array(512), core: new Uint8Array(512 * 3000) },
    { firstSector: 34, sectorsMax: 2014 },
  );
  assert.deepEqual(r, { ok: false, error: "core.img: 3000 sectors, 2 to 2014 fit" });
});

for (const [what, boot, top, own, expected] of [
  [
    "the links that Debian keeps",
    ["vmlinuz-6.1.0-9"],
    ["vmlinuz", "initrd.img"],
    false,
    { kernel: "/vmlinuz", initrd: "/initrd.img" },
  ],
  [
    "the newest with an initrd",
    ["vmlinuz-6.1.0-9", "vmlinuz-6.1.0-56", "vmlinuz-6.5", "initrd.img-6.1.0-9", "initrd.img-6.1.0-56"],
    [],
    false,
    { kernel: "/boot/vmlinuz-6.1.0-56", initrd: "/boot/initrd.img-6.1.0-56" },
  ],
  [
    "not the links when /boot is a file system of its own",
    ["vmlinuz-6", "initrd.img-6"],
    ["vmlinuz", "initrd.img"],
    true,
    { kernel: "/boot/vmlinuz-6", initrd: "/boot/initrd.img-6" },
  ],
] as const) {
  test(`the kernel is ${what}`, () => assert.deepEqual(chooseKernel(boot, top, own), { ok: true, value: expected }));
}

test("an image without a kernel is refused with what it has", () => {
  assert.deepEqual(chooseKernel(["config-6"], [], false), {
    ok: false,
    error: "image: no kernel with an initrd in /boot (config-6)",
  });
});

test("grub.cfg starts the kernel at once and cannot be broken out of by a title", () => {
  const text = grubConfig({
    kernel: "/vmlinuz",
    initrd: "/initrd.img",
    commandLine: kernelCommandLine("u-1", "console=ttyS0"),
    rootUuid: "u-1",
    title: 'Debian "12"',
  });
  assert.match(text, /^set timeout=0$/m);
  assert.match(text, /^menuentry "Debian 12" \{$/m);
  assert.match(text, /^ {2}linux \/vmlinuz root=UUID=u-1 ro console=ttyS0$/m);
});
