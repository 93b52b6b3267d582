import assert from "node:assert/strict";
import { test } from "node:test";
import { Code, ConnectError, type ConnectRouter, createClient, type Transport } from "@connectrpc/connect";
import { createConnectTransport, createGrpcTransport } from "@connectrpc/connect-node";
import { ViolationsSchema } from "#gen/buf/validate/validate_pb.ts";
import { IPService } from "#gen/metalstack/api/v2/ip_pb.ts";
import { BootService } from "#gen/metalstack/infra/v2/boot_pb.ts";
import { listen } from "../io/one-port.ts";
import { silentLog } from "../log.ts";
import { validation } from "./validation.ts";
import { violationsMax } from "./violations.ts";

const calls = async (then: (transport: Transport) => Promise<void>) => {
  const interceptors = [validation([BootService, IPService])];
  const routes = (router: ConnectRouter): void => {
    router.service(BootService, {});
    router.service(IPService, {});
  };
  const port = await listen({ routes, interceptors, log: silentLog }, { host: "127.0.0.1", port: 0 });
  const baseUrl = `http://127.0.0.1:${port.port}`;
  await then(createGrpcTransport({ baseUrl }));
  await then(createConnectTransport({ baseUrl, httpVersion: "1.1" }));
  await port.stop();
};

test("a request that breaks its rules thousands of times is refused as one that breaks them once", () =>
  calls(async (transport) => {
    const nics = Array.from({ length: 3_000 }, () => ({ mac: "none" }));
    const call = createClient(BootService, transport).register({ hardware: { nics } });
    const error = await call.then(() => assert.fail("it was taken"), ConnectError.from);
    assert.match(error.rawMessage, /and \d{4} more violations/);
    assert.equal(error.findDetails(ViolationsSchema)[0]?.violations.length, violationsMax);
  }));

test("a key of a million characters that breaks a rule is not told whole", () =>
  calls(async (transport) => {
    const labels = { labels: { ["k".repeat(1_000_000)]: "" } };
    const project = "0f86b3b0-5a8c-4a0e-9d5a-3a0f6a0f9d11";
    const call = createClient(IPService, transport).create({ project, network: "some", labels });
    const error = await call.then(() => assert.fail("it was taken"), ConnectError.from);
    assert.equal(error.code, Code.InvalidArgument);
    assert.match(error.rawMessage, /^labels\.labels\["k{400,}…$/);
    const [violation] = error.findDetails(ViolationsSchema)[0]?.violations ?? [];
    assert.equal(violation?.field?.elements[1]?.subscript.value, "k".repeat(64));
  }));
