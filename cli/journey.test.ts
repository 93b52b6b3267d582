// The commands against a server on a real socket: what goes out, what is shown, how it ends.
import assert from "node:assert/strict";
import { after, before, beforeEach, describe, test } from "node:test";
import type { QuotaServiceSetRequest } from "#gen/holdfast/api/v1/quota_pb.ts";
import {
  MachineAllocationType,
  MachineBMCCommand,
  type MachineServiceCreateRequest,
} from "#gen/metalstack/api/v2/machine_pb.ts";
import { app } from "./app.ts";
import type { Cli } from "./cli.ts";
import { proposals } from "./command/propose.ts";
import { fake, holdfast, project, reset, serverUrl, start, stop, uuid } from "./testing/rehearsal.ts";

before(start);
after(stop);
beforeEach(reset);

describe("the command line", () => {
  test("lists in a table, in JSON and in YAML", async () => {
    assert.equal((await holdfast(["partition", "list"])).out, "ID   DESCRIPTION  AGE\nlab  the lab      90s\n");
    assert.equal(JSON.parse((await holdfast(["partition", "list", "-o", "json"])).out)[0].id, "lab");
    assert.match((await holdfast(["partition", "list", "-o", "yaml"])).out, /^- id: lab\n/);
  });

  test("asks as administrator without a project, and within it with one", async () => {
    await holdfast(["machine", "list"]);
    await holdfast(["machine", "power", uuid, "cycle"]);
    await holdfast(["machine", "power", uuid, "cycle", "--project", project]);
    assert.deepEqual(
      fake.asked.map((a) => a.method),
      ["admin.v2.MachineService/List", "admin.v2.MachineService/BMCCommand", "api.v2.MachineService/BMCCommand"],
    );
    assert.deepEqual(fake.asked[2]?.request, { uuid, project, command: MachineBMCCommand.MACHINE_BMC_COMMAND_CYCLE });
  });

  test("ends with 1 and one line when the server refuses", async () => {
    const ran = await holdfast(["partition", "describe", "x"]);
    assert.equal(ran.code, 1);
    assert.equal(ran.err, "holdfast: not found: partition x is not known (PARTITION_UNKNOWN)\n");
  });

  test("ends with 2 and the words that there are when an order is not known", async () => {
    const ran = await holdfast(["machine", "power", uuid, "explode"]);
    assert.deepEqual([ran.code, ran.err], [2, "holdfast: explode: on, off, reset, cycle is wanted\n"]);
  });

  test("ends with 3 and names the server when none listens", async () => {
    const ran = await holdfast(["partition", "list", "--server", "http://127.0.0.1:9"]);
    assert.equal(ran.code, 3);
    assert.match(ran.err, /^holdfast: cannot reach http:\/\/127\.0\.0\.1:9 \(nothing listens there\)/);
  });

  test("creates every document of a file, and names the field of one that is wrong", async () => {
    const size = "id: small\nconstraints:\n- {type: SIZE_CONSTRAINT_TYPE_CORES, min: 1, max: 2}\n";
    const files = { two: `${size}---\nid: large\n`, bad: "id: small\nconstraint: []\n" };
    assert.equal((await holdfast(["size", "create", "-f", "two"], { files })).out, "small\nlarge\n");
    const bad = await holdfast(["size", "create", "-f", "bad"], { files });
    assert.equal(bad.code, 2);
    assert.match(bad.err, /^holdfast: bad: .*constraint/);
    assert.equal((await holdfast(["size", "create", "-f", "none"])).err, "holdfast: cannot read none: no such file\n");
  });

  test("shows a project's quota beside what is used, and sets all of it at once", async () => {
    const shown = await holdfast(["project", "quota", "show", project]);
    assert.equal(shown.out, "WHAT      USED  LIMIT\nmachines  1     2\nips       0     -\nnetworks  0     0\n");
    const set = await holdfast(["project", "quota", "set", project, "--machines", "5", "--ips", "0"]);
    assert.match(set.out, /^machines {2}1 {5}5\nips {7}3 {5}0\nnetworks {2}0 {5}-$/m);
    const { limits } = fake.asked[0]!.request as QuotaServiceSetRequest;
    assert.deepEqual([limits?.machines, limits?.ips, limits?.networks], [5, 0, undefined]);
    assert.notEqual((await holdfast(["project", "quota", "set", project, "--ips", "-1"])).code, 0);
    assert.equal(fake.asked.length, 1);
  });

  test("grants and resizes a budget, and shows what is left of it", async () => {
    const homes = ["--networks", "2", "--parent", "super"];
    const of = ["--partition", "lab", "--project", project, "--size", "v1-small"];
    const ran = await holdfast(["budget", "grant", ...of, ...homes, "--machines", "1", "--addresses", "2"]);
    assert.match(ran.out, /MACHINES +ADDRESSES +NETWORKS +PROBLEM\n.* 1\/1 +2\/2 +1\/2 +1 networks are missing/);
    await holdfast(["budget", "resize", uuid, "--machines", "0", "--addresses", "1"]);
    await holdfast(["budget", "resize", uuid, "--machines", "0", "--addresses", "1", "--networks", "0"]);
    const wanted = { partition: "lab", project, size: "v1-small", machines: 1, addresses: 2 };
    const less = { id: uuid, machines: 0, addresses: 1 };
    assert.deepEqual(
      fake.asked.map(({ request }) => request),
      [{ ...wanted, networks: 2, parentNetwork: "super" }, less, { ...less, networks: 0 }],
    );
  });

  test("writes a new token's secret alone to the output", async () => {
    const ran = await holdfast([
      "token",
      "create",
      "--expires",
      "30m",
      "--project-role",
      `${project}=owner`,
      "--admin-role",
      "viewer",
    ]);
    assert.equal(ran.out, "s3cret\n");
    const request = fake.asked[0]?.request as { expires: { seconds: bigint }; projectRoles: object; adminRole: number };
    assert.deepEqual([request.expires.seconds, request.projectRoles, request.adminRole], [1800n, { [project]: 1 }, 2]);
  });

  test("creates a firewall with the rules of a file, and names the field of one that is wrong", async () => {
    const create = ["machine", "create", "--size", "small", "--partition", "lab", "--image", "firewall-3"];
    const line = [...create, "--network", "n", "--name", "gate", "--project", project];
    const rule = "egress:\n- {protocol: IP_PROTOCOL_TCP, ports: [443], to: [0.0.0.0/0], comment: https}\n";
    const files = { good: rule, bad: "egress: [{port: 443}]\n", two: `${rule}---\n${rule}` };
    assert.equal((await holdfast([...line, "--firewall", "--rules", "good"], { files })).out, `${uuid}\n`);
    const { allocationType, firewallSpec } = fake.asked[0]!.request as MachineServiceCreateRequest;
    assert.equal(allocationType, MachineAllocationType.FIREWALL);
    const [asked] = firewallSpec?.firewallRules?.egress ?? [];
    assert.deepEqual([asked?.protocol, asked?.ports, asked?.to, asked?.comment], [1, [443], ["0.0.0.0/0"], "https"]);
    const refused: [string[], RegExp][] = [
      [["--firewall", "--rules", "bad"], /^holdfast: bad: .*port/],
      [["--firewall", "--rules", "two"], /^holdfast: two: one document is wanted/],
      [["--rules", "good"], /--firewall is needed/],
    ];
    for (const [flags, text] of refused) {
      const ran = await holdfast([...line, ...flags], { files });
      assert.equal(ran.code, 2);
      assert.match(ran.err, text);
    }
    assert.equal(fake.asked.length, 1);
  });

  test("tells why a machine waits", async () => {
    const { out } = await holdfast(["machine", "why", uuid]);
    assert.match(out, /^why: +waiting for the installer to report$/m);
    assert.match(out, /^order reset \(o1, epoch 3\) was not carried out: its deadline has passed$/m);
    assert.match(out, /^boot-installer \(e2, epoch 3\) was begun, and how it ended is not known yet: it is off$/m);
    assert.doesNotMatch(out, /move-port/, "what is done needs no words");
  });

  test("proposes how a line may go on", async () => {
    const cli = { process: { stdout: { write() {} }, stderr: { write() {} } }, env: {} } as unknown as Cli;
    assert.deepEqual(await proposals(app, cli, ["holdfast", "machine", "wa"]), ["watch "]);
    const line = "holdfast machine power x ";
    const next = await proposals(app, { ...cli, env: { COMP_LINE: line } }, line.trim().split(" "));
    assert.ok(next.includes("cycle "), next.join());
  });
});

describe("logging in", () => {
  const env = { HOLDFAST_SERVER: "", HOLDFAST_TOKEN: "" };
  const login = (token: string) => {
    const args = ["login", "--server", `${serverUrl()}/`, "--token-file", "t", "--project", project];
    return holdfast(args, { files: { t: token } });
  };

  test("stores a token that works, and later calls carry it", async () => {
    const { settings = "", code } = await login("good\n");
    assert.equal(code, 0);
    assert.match(settings, /^current: default\n/);
    const later = await holdfast(["machine", "power", uuid, "on"], {
      config: settings,
      env: { HOLDFAST_SERVER: serverUrl(), HOLDFAST_TOKEN: undefined as unknown as string },
    });
    assert.equal(later.err, "");
    assert.deepEqual(
      [fake.asked[0]?.token, fake.asked[0]?.method],
      ["Bearer good", "api.v2.MachineService/BMCCommand"],
    );
    assert.equal((await holdfast(["logout"], { config: settings, env })).settings, "contexts: {}\n");
  });

  test("stores nothing when the token is refused", async () => {
    const ran = await login("bad");
    assert.deepEqual([ran.code, ran.settings], [1, undefined]);
    assert.match(ran.err, /does not take the token \(unknown\)/);
  });
});
