import assert from "node:assert/strict";
import { describe, test } from "node:test";
import type { Mac } from "#lib/net/mac.ts";
import { diffSwitch, missingPorts } from "./diff.ts";
import { canonicalGateway } from "./gateway.ts";
import { type DesiredSwitch, type SwitchEdit, type SwitchState, tenantNetwork, vrfOfNetwork } from "./switch.ts";

/** `{ p1: "prov" }` and `{ prov: [], hf7: ["10.7.0.1/24"] }` */
const running = (
  ports: Readonly<Record<string, string | undefined>>,
  networks: Readonly<Record<string, readonly string[]>> = { prov: ["10.0.0.1/24"] },
): SwitchState => ({
  id: "leaf1",
  ports: Object.entries(ports).map(([name, network]) => ({
    name,
    network,
    enabled: true,
    up: true,
    mac: "02:00:00:00:00:01" as Mac,
    learnedMacs: [],
  })),
  networks: Object.entries(networks).map(([name, gateways]) => ({ name, gateways })),
});

const desired = (
  ports: Readonly<Record<string, string>>,
  networks: Readonly<Record<string, readonly string[]>> = {},
  removed: readonly string[] = [],
): DesiredSwitch => ({
  ports: Object.entries(ports).map(([name, network]) => ({ name, network })),
  networks: Object.entries(networks).map(([name, gateways]) => ({ name, gateways })),
  removed,
});

const text = (edit: SwitchEdit): string =>
  edit.kind === "move-port"
    ? `${edit.port} → ${edit.network}`
    : "port" in edit
      ? `${edit.kind} ${edit.port}`
      : `${edit.kind} ${"gateway" in edit ? `${edit.gateway} ` : ""}${edit.network}`;

describe("the edits of a switch:", () => {
  const rows: readonly (readonly [string, DesiredSwitch, SwitchState, readonly string[]])[] = [
    ["nothing desired, nothing touched", desired({}), running({ p1: "hf7" }, { hf7: ["10.7.0.1/24"] }), []],
    ["what is so already needs no edit", desired({ p1: "prov" }), running({ p1: "prov" }), []],
    [
      "a tenant's network stands with its gateways before a port joins it",
      desired({ p1: "hf7" }, { hf7: ["10.7.0.1/24", "fd00:0:0::1/64"] }),
      running({ p1: "prov" }),
      ["create-network hf7", "add-gateway 10.7.0.1/24 hf7", "add-gateway fd00::1/64 hf7", "p1 → hf7"],
    ],
    [
      "a port leaves its tenant before anything else happens",
      desired({ p1: "hf8", p2: "prov" }, { hf8: ["10.8.0.1/24"] }),
      running({ p1: "prov", p2: "hf7" }, { prov: [], hf7: [] }),
      ["p2 → prov", "create-network hf8", "add-gateway 10.8.0.1/24 hf8", "p1 → hf8"],
    ],
    [
      "a gateway that is not desired goes before the new one comes",
      desired({}, { hf7: ["10.9.0.1/24"] }),
      running({}, { hf7: ["10.7.0.1/24"] }),
      ["remove-gateway 10.7.0.1/24 hf7", "add-gateway 10.9.0.1/24 hf7"],
    ],
    [
      "a network goes only on order, and after its last port",
      desired({ p1: "prov" }, {}, ["hf7"]),
      running({ p1: "hf7" }, { prov: [], hf7: [], hf8: [] }),
      ["p1 → prov", "remove-network hf7"],
    ],
    [
      "a network with a port that nobody moves stays, whatever was ordered",
      desired({}, {}, ["hf7"]),
      running({ p1: "hf7" }, { hf7: [] }),
      [],
    ],
    [
      "a network that is both desired and removed stays",
      desired({}, { hf7: [] }, ["hf7"]),
      running({}, { hf7: [] }),
      [],
    ],
    [
      "a port is switched off after it has left its tenant, and one that nobody speaks of stays",
      {
        ports: [
          { name: "p1", network: "prov", enabled: false },
          { name: "p2", enabled: true },
        ],
        networks: [],
      },
      running({ p1: "hf7", p2: "prov", p3: "prov" }, { prov: [], hf7: [] }),
      ["p1 → prov", "disable-port p1"],
    ],
    ["a removed network that is not there is no edit", desired({}, {}, ["hf7"]), running({}), []],
    ["a port that the switch does not have is no edit", desired({ p9: "prov" }), running({ p1: "prov" }), []],
    ["a port of no network joins", desired({ p1: "prov" }), running({ p1: undefined }), ["p1 → prov"]],
  ];
  for (const [name, want, have, edits] of rows) {
    test(name, () => assert.deepEqual(diffSwitch(want, have).map(text), edits));
  }

  test("ports that the switch does not have are told", () => {
    assert.deepEqual(missingPorts(desired({ p1: "prov", p9: "prov" }), running({ p1: "prov" })), ["p9"]);
  });
});

test("a tenant's network is named after its VRF, and only such names are ours", () => {
  assert.equal(tenantNetwork(104), "hf104");
  assert.equal(vrfOfNetwork("hf104"), 104);
  for (const other of ["prov", "hf", "hf0", "hf01", "hf99999999", "hf1a", "xhf1"]) {
    assert.equal(vrfOfNetwork(other), undefined, other);
  }
});

test("a gateway has one spelling", () => {
  const spelled = (given: string) => {
    const gateway = canonicalGateway(given);
    return gateway.ok ? gateway.value : gateway.error;
  };
  assert.equal(spelled("10.7.0.1/24"), "10.7.0.1/24");
  assert.equal(spelled("FD00:0000:0:0::0001/64"), "fd00::1/64");
  for (const wrong of [
    "10.7.0.1",
    "10.7.0.1/33",
    "10.7.0.256/24",
    "fd00::1/129",
    "fd00::1::2/64",
    "/24",
    "",
    "a/b/c",
  ]) {
    assert.match(spelled(wrong), /an address and a prefix length are wanted/, wrong);
  }
});
