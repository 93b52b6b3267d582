import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { MachineDesiredSchema, MachineObservedSchema } from "#gen/holdfast/state/v1/machine_pb.ts";
import { NetworkType } from "#gen/metalstack/api/v2/network_pb.ts";
import { bootTarget } from "./boot-target.ts";
import { portNetwork, provisioning } from "./port-network.ts";

const networks = [
  { network: "internet", networkType: NetworkType.EXTERNAL },
  { network: "home", networkType: NetworkType.CHILD },
];
const desired = (epoch: bigint, allocation: { networks: typeof networks } | undefined = { networks }) =>
  create(MachineDesiredSchema, { epoch, ...(allocation && { allocation }) });
const free = create(MachineDesiredSchema, { epoch: 3n });
const seen = (more: Omit<MessageInitShape<typeof MachineObservedSchema>, "$typeName">) =>
  create(MachineObservedSchema, more);

describe("boot target and port", () => {
  const rows: readonly [string, ReturnType<typeof desired> | undefined, ReturnType<typeof seen> | undefined, string][] =
    [
      ["a machine that nobody knows boots the installer", undefined, undefined, "installer provisioning"],
      ["a machine that was only seen, too", undefined, seen({ installedEpoch: 2n }), "installer provisioning"],
      ["a free machine, too", free, seen({ installedEpoch: 2n }), "installer provisioning"],
      [
        "a free machine whose number happens to be that of an installation, too",
        free,
        seen({ installedEpoch: 3n }),
        "installer provisioning",
      ],
      ["an allocated machine before its installation, too", desired(2n), seen({}), "installer provisioning"],
      ["an allocated machine that was never seen, too", desired(2n), undefined, "installer provisioning"],
      [
        "an installed machine boots its disk, in its private network",
        desired(2n),
        seen({ installedEpoch: 2n }),
        "disk home",
      ],
      [
        "what was installed under an earlier epoch is not installed",
        desired(4n),
        seen({ installedEpoch: 2n }),
        "installer provisioning",
      ],
    ];
  for (const [name, d, o, expected] of rows) {
    test(name, () => assert.equal(`${bootTarget(d, o)} ${portNetwork(d, o)}`, expected));
  }

  test("without a private network the first one counts, without any the provisioning one", () => {
    const installed = seen({ installedEpoch: 2n });
    assert.equal(portNetwork(desired(2n, { networks: networks.slice(0, 1) }), installed), "internet");
    assert.equal(portNetwork(desired(2n, { networks: [] }), installed), provisioning);
  });
});
