import assert from "node:assert/strict";
import { test } from "node:test";
import { localBootScript, networkBootScript, retrySeconds, waitScript } from "./script.ts";

/** How iPXE writes a setting that it fills in. */
const expansion = ["$", "{net0/mac}"].join("");
const scriptUrl = "http://10.0.0.1:8080/boot.ipxe";
const boot = {
  kernelUrl: "http://10.0.0.1:8080/boot/vmlinuz",
  initrdUrls: ["http://10.0.0.1:8080/boot/initrd"],
  arguments: ["console=ttyS0", "quiet"],
  scriptUrl,
  retrySeconds: 5,
};

test("a network boot loads kernel and initrds, and asks again when something fails", () => {
  const built = networkBootScript({ ...boot, initrdUrls: [...boot.initrdUrls, "http://10.0.0.1:8080/boot/modules"] });
  assert.deepEqual(built, {
    ok: true,
    value: `#!ipxe
imgfree
kernel http://10.0.0.1:8080/boot/vmlinuz initrd=initrd initrd=initrd1 console=ttyS0 quiet || goto failed
initrd --name initrd http://10.0.0.1:8080/boot/initrd || goto failed
initrd --name initrd1 http://10.0.0.1:8080/boot/modules || goto failed
boot || goto failed
:failed
echo holdfast: boot failed
:again
sleep 5
chain --replace --autofree ${scriptUrl} ||
ifconf --configurator dhcp ||
goto again
`,
  });
});

test("a local boot takes the disk with BIOS and chains a loader with EFI, for its exit leads nowhere", () => {
  const line = (boot: Parameters<typeof localBootScript>[0]) => {
    const built = localBootScript(boot, { scriptUrl, retrySeconds: 5 });
    return built.ok ? built.value.split("\n")[1] : built.error;
  };
  assert.equal(line({ firmware: "pcbios" }), "sanboot --no-describe --drive 0x80 || goto failed");
  assert.equal(
    line({ firmware: "efi", loaderUrl: "http://10.0.0.1/l.efi" }),
    "chain http://10.0.0.1/l.efi || goto failed",
  );
  assert.match(line({ firmware: "efi", loaderUrl: "http://a\nshell" })!, /^ipxe word/);
});

test("a script that says why cannot be made to say anything else", () => {
  const built = waitScript(`bad\nshell ${expansion} || shell && x ; y #z é`, scriptUrl, 7.4);
  assert.deepEqual(built.ok && built.value.split("\n").slice(0, 4), [
    "#!ipxe",
    "echo holdfast: bad?shell $(net0/mac} . shell . x . y .z ?",
    ":again",
    "sleep 7",
  ]);
});

const refused = ["a\nshell", "a b", `x${expansion}`, "||", "&&", ";", "#x", "", "é", "y".repeat(5000)];
for (const word of refused) {
  test(`the kernel argument ${JSON.stringify(word.slice(0, 20))} is refused: iPXE would not take it as one word`, () => {
    const built = networkBootScript({ ...boot, arguments: [word] });
    assert.match(built.ok ? "built" : built.error, /^ipxe word/);
  });
}

test("who asks often is asked to wait longer", () => {
  assert.deepEqual([0, 1, 2, 3, 4, 5, 100].map(retrySeconds), [5, 5, 10, 20, 40, 60, 60]);
});
