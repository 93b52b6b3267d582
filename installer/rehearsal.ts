import { create, toBinary } from "@bufbuild/protobuf";
import type { Transport } from "@connectrpc/connect";
import type { UniversalClientFn } from "@connectrpc/connect/protocol";
import { DutyResponseSchema, PlanResponseSchema } from "#gen/holdfast/install/v1/install_pb.ts";
import { Format, GPTType } from "#gen/metalstack/api/v2/filesystem_pb.ts";
import { BootServiceWaitResponseSchema } from "#gen/metalstack/infra/v2/boot_pb.ts";
import { Secret } from "#lib/secret.ts";
import { Seeded } from "#lib/seeded.ts";
import { VirtualClock } from "#lib/virtual-clock.ts";
import type { BootArguments } from "./boot-arguments.ts";
import type { Facts } from "./facts.ts";
import { life } from "./life.ts";
import { noServer, Started } from "./no-server.ts";

/**
 * Lives one life on a server that is none, with an agent that agrees to everything. Node compiles a function when it is first called
 * and reads a message's description when it is first used; on a slow CPU that is half of what a call costs. What has been
 * rehearsed when the heap is kept (lab/images/bundle.ts) is ready when the server comes.
 * @param transportOver the installer's own transport over another way to send
 * @throws when the life does not end in a started kernel
 */
export async function rehearse(transportOver: (baseUrl: string, send: UniversalClientFn) => Transport): Promise<void> {
  const boot: BootArguments = {
    url: "http://rehearsal",
    token: new Secret(""),
    mac: undefined,
    partition: "",
    start: "kexec",
  };
  let trouble = "";
  const say = (step: string, text: string) => {
    if (step === "crashed") trouble = text;
  };
  const ports = {
    server: noServer(facts, digest),
    transport: transportOver(boot.url, agree),
    // Nothing is waited for but what is called off.
    clock: new VirtualClock(),
    // Not the real one: what it keeps in store would be the same on every server.
    random: new Seeded(0),
    say,
    version: "",
  };
  const how = await life(boot, ports).catch((end: unknown) => (end instanceof Started ? end.how : Promise.reject(end)));
  if (how !== "kexec") throw new Error(`the rehearsed life ended in a ${how}: ${trouble}`);
}

const uuid = "00000000-0000-0000-0000-000000000000";
const device = "/dev/vda";
const digest = "0".repeat(64);

const facts: Facts = {
  smbios: {
    uuid,
    bios: { vendor: "", version: "", date: "" },
    product: { manufacturer: "", name: "", serial: "", sku: "" },
    board: { manufacturer: "", product: "", serial: "" },
    chassis: { serial: "", sku: "" },
    memory: [{ slot: "", sizeBytes: 2 ** 30 }],
  },
  cpuinfo: "processor : 0\nvendor_id : \nmodel name : \n",
  memoryBytes: 2 ** 30,
  disks: [
    {
      device,
      sizeBytes: 2 ** 32,
      serial: "",
      wwn: "",
      model: "",
      isRotational: false,
      canDiscard: true,
      canSecureDiscard: false,
      nvme: undefined,
    },
  ],
  nics: [{ name: "eth0", mac: "02:00:00:00:00:01", speedMbit: 0, vendor: "", model: "", neighbours: [] }],
  firmware: "uefi",
  bmc: undefined,
};

const plan = create(PlanResponseSchema, {
  epoch: 1n,
  imageUrl: "http://rehearsal/image",
  imageSha256: digest,
  imageBytes: 1000n,
  kernelCommandline: "console=ttyS0",
});

const waited = create(BootServiceWaitResponseSchema, {
  allocation: {
    uuid,
    hostname: "rehearsal",
    filesystemLayout: {
      disks: [
        {
          device,
          partitions: [
            { number: 1, size: 64n, label: "efi", gptType: GPTType.GPT_TYPE_BOOT },
            { number: 2, size: 0n, label: "root", gptType: GPTType.GPT_TYPE_LINUX },
          ],
        },
      ],
      filesystems: [
        { device: `${device}2`, format: Format.EXT4, path: "/", label: "root" },
        { device: `${device}1`, format: Format.VFAT, path: "/boot/efi", label: "efi" },
      ],
    },
  },
});

/** By method; the others have nothing to say. */
const answers: Readonly<Record<string, Uint8Array>> = {
  Wait: stream(toBinary(BootServiceWaitResponseSchema, waited)),
  Plan: toBinary(PlanResponseSchema, plan),
  Duty: toBinary(DutyResponseSchema, create(DutyResponseSchema, { duty: { case: "wipe", value: {} } })),
};

const agree: UniversalClientFn = async ({ url, header }) => {
  const method = url.slice(url.lastIndexOf("/") + 1);
  return {
    status: 200,
    header: new Headers({ "content-type": header.get("content-type") ?? "" }),
    body: said(answers[method] ?? new Uint8Array(0)),
    trailer: new Headers(),
  };
};

async function* said(bytes: Uint8Array): AsyncIterable<Uint8Array> {
  yield bytes;
}

/** A message of a stream, and the stream's end. @source Connect protocol, streaming RPCs: flags u8, length u32, content */
function stream(message: Uint8Array): Uint8Array {
  const end = new TextEncoder().encode("{}");
  const bytes = new Uint8Array(10 + message.length + end.length);
  const view = new DataView(bytes.buffer);
  view.setUint32(1, message.length);
  bytes.set(message, 5);
  view.setUint8(5 + message.length, 2);
  view.setUint32(6 + message.length, end.length);
  bytes.set(end, 10 + message.length);
  return bytes;
}
