import assert from "node:assert/strict";
import { test } from "node:test";
import { create, type DescMethod, type DescMethodStreaming, type DescMethodUnary } from "@bufbuild/protobuf";
import { Code, ConnectError, createRouterTransport } from "@connectrpc/connect";
import { services } from "./services.ts";
import { first, machineCentral } from "./testing/machines.ts";

const isUnary = (method: DescMethod): method is DescMethodUnary => method.methodKind === "unary";

test("none of the contract's 150 RPCs is unimplemented", async () => {
  const central = await machineCentral();
  // Without the rim: what it would refuse must be there all the same.
  const transport = createRouterTransport(central.api.routes);
  const methods = services.filter((s) => s.typeName.startsWith("metalstack.")).flatMap((s) => s.methods);
  const signal = AbortSignal.timeout(60_000);
  const missing: string[] = [];
  for (const method of methods) {
    const request = create(method.input);
    try {
      if (isUnary(method)) await transport.unary(method, signal, undefined, undefined, request);
      else {
        const only = (async function* () {
          yield request;
        })();
        await first(
          (await transport.stream(method as DescMethodStreaming, signal, undefined, undefined, only)).message,
          1,
        );
      }
    } catch (error) {
      const { code } = ConnectError.from(error);
      if (code === Code.Unimplemented) missing.push(`${method.parent.typeName}/${method.name}`);
    }
  }
  assert.deepEqual([methods.length, missing], [150, []]);
  await central.close();
});
