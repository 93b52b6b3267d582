import assert from "node:assert/strict";
import { test } from "node:test";
import { aDisk } from "./testing/builders.ts";
import { isWiped, nvmeFacts, wipeMethods, wipeSummary } from "./wipe.ts";

for (const [what, disk, methods] of [
  [
    "an NVMe disk that can throw its key away",
    aDisk({ nvme: { canFormat: true, canCryptoErase: true }, canDiscard: false }),
    ["nvme-format-crypto", "nvme-format", "overwrite"],
  ],
  [
    "an NVMe disk that can only format",
    aDisk({ nvme: { canFormat: true, canCryptoErase: false } }),
    ["nvme-format", "discard", "overwrite"],
  ],
  ["a disk with secure discard", aDisk({ canSecureDiscard: true }), ["secure-discard", "discard", "overwrite"]],
  ["a disk with discard", aDisk(), ["discard", "overwrite"]],
  [
    "a spinning disk without discard is overwritten in full",
    aDisk({ isRotational: true, canDiscard: false }),
    ["overwrite"],
  ],
] as const) {
  test(`ways to wipe: ${what}`, () => assert.deepEqual(wipeMethods(disk), methods));
}

test("one disk that is not wiped means that the machine is not", () => {
  const good = { disk: aDisk(), method: "discard", tookMs: 120, error: "" } as const;
  const bad = { disk: aDisk({ device: "/dev/vdb" }), method: undefined, tookMs: 5, error: "discard: I/O error" };
  assert.equal(isWiped([good, good]), true);
  assert.equal(isWiped([good, bad]), false);
  assert.equal(
    wipeSummary([good, bad]),
    "wiped /dev/vda 4.0 GiB by discard in 0.1 s; /dev/vdb 4.0 GiB not wiped: discard: I/O error",
  );
});

test("an NVMe controller says in OACS and FNA what it can erase", () => {
  const identify = new Uint8Array(4096);
  assert.deepEqual(nvmeFacts(identify), { canFormat: false, canCryptoErase: false });
  identify[256] = 2;
  identify[524] = 4;
  assert.deepEqual(nvmeFacts(identify), { canFormat: true, canCryptoErase: true });
  assert.deepEqual(nvmeFacts(new Uint8Array(0)), { canFormat: false, canCryptoErase: false });
});
