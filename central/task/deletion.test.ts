import assert from "node:assert/strict";
import { test } from "node:test";
import { setImmediate as turn } from "node:timers/promises";
import { clone } from "@bufbuild/protobuf";
import { Code } from "@connectrpc/connect";
import { IPService } from "#gen/metalstack/api/v2/ip_pb.ts";
import { NetworkSchema, NetworkService } from "#gen/metalstack/api/v2/network_pb.ts";
import { kinds } from "../store/kinds.ts";
import type { State } from "../store/state.ts";
import { refusedWith } from "../testing/refused-with.ts";
import { until } from "../testing/until.ts";
import { wholeCentral } from "../testing/whole.ts";

/** A central whose transactions a test may stand before. */
async function interrupted() {
  const hooks = { before: async () => {}, after: async () => {} };
  const watch = (state: State): State =>
    Object.create(state, {
      transact: {
        value: async (work: Parameters<State["transact"]>[0]) => {
          await hooks.before();
          const done = await state.transact(work);
          await hooks.after();
          return done;
        },
      },
    });
  const central = await wholeCentral({ watch });
  const { project, network: id } = central;
  return {
    ...central,
    hooks,
    meta: () => central.state.get(kinds.network, id)?.value.meta,
    remove: () => central.client(NetworkService).delete({ id, project }),
    use: () => central.client(IPService).create({ network: id, project }),
  };
}

test("a deletion that a death broke off is ended within two minutes, and the thing can be used again", async () => {
  const central = await interrupted();
  let committed = 0;
  central.hooks.before = async () => {
    if (committed++ > 0) throw new Error("this central has died");
  };
  await assert.rejects(central.remove(), refusedWith(Code.Internal, /./));
  central.hooks.before = async () => {};
  await assert.rejects(central.use(), refusedWith(Code.FailedPrecondition, /being deleted/));
  for (const ms of [60_000, 60_000]) {
    central.clock.advance(ms);
    await turn();
  }
  await until("the end of the deletion", () => central.meta()?.deletionTaskId === undefined);
  await central.use();
  await central.close();
});

test("a deletion whose mark somebody took away does not go on: the thing may be used by now", async () => {
  const central = await interrupted();
  const { state, network: id } = central;
  central.hooks.after = async () => {
    central.hooks.after = async () => {};
    await state.transact((tx) => {
      const draft = clone(NetworkSchema, tx.get(kinds.network, id)!);
      delete draft.meta!.deletionTaskId;
      tx.put(kinds.network, id, draft);
    });
    await central.use();
  };
  await assert.rejects(central.remove(), refusedWith(Code.Aborted, /ended by somebody else/));
  assert.equal(central.meta()?.deletionTaskId, undefined);
  await assert.rejects(central.remove(), refusedWith(Code.FailedPrecondition, /in use by address/));
  await central.close();
});
