import assert from "node:assert/strict";
import { test } from "node:test";
import { bootArguments } from "./boot-arguments.ts";
import { cpus, hardware, registration } from "./hardware.ts";
import { someFacts } from "./testing/builders.ts";

const cpuinfo = [0, 1, 2, 3]
  .map(
    (n) =>
      `processor\t: ${n}\nvendor_id\t: GenuineIntel\nmodel name\t: Xeon   8000\nphysical id\t: ${n >> 1}\ncore id\t\t: 0`,
  )
  .join("\n\n");

test("a CPU is a socket with its cores and threads", () => {
  const one = { vendor: "GenuineIntel", model: "Xeon 8000", cores: 1, threads: 2 };
  assert.deepEqual(cpus(cpuinfo), [one, one]);
});

test("memory is what is plugged in, or what the kernel has when the firmware does not say", () => {
  assert.equal(hardware(someFacts()).memory, 2n ** 30n);
  assert.equal(hardware(someFacts({ smbios: { ...someFacts().smbios, memory: [] } })).memory, 1_000_000_000n);
});

test("a neighbour is told with the NIC that heard it", () => {
  const nic = { name: "eth0", mac: "52:54:00:77:00:01", speedMbit: 25_000, vendor: "0x15b3", model: "0x1015" };
  const heard = { mac: "02:00:00:00:00:09", port: "Ethernet0", portDescription: "", systemName: "leaf1" };
  const told = hardware(someFacts({ nics: [{ ...nic, neighbours: [heard] }] })).nics[0];
  assert.equal(told?.speed, 25_000n);
  assert.deepEqual(
    [told?.neighbors[0]?.mac, told?.neighbors[0]?.name, told?.neighbors[0]?.hostname],
    ["02:00:00:00:00:09", "Ethernet0", "leaf1"],
  );
});

test("a registration says nothing where the firmware says nothing, and leaves the BMC out when it is not seen in-band", () => {
  const boot = bootArguments("holdfast.url=http://a holdfast.token=t holdfast.partition=p1");
  assert.ok(boot.ok);
  const r = registration(someFacts(), boot.value, "v1");
  assert.deepEqual(
    [r.uuid, r.partition, r.metalHammerVersion, r.bmc],
    [someFacts().smbios.uuid, "p1", "v1", undefined],
  );
  assert.deepEqual([r.fru?.productSerial, r.fru?.boardMfg], ["SN-1", undefined]);
});
