// What can happen to a machine: what its user and central do, what its agent decides, what server and installer do, and what goes wrong.

import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import type { MachineIndexes } from "#central/machine/indexes.ts";
import { abortReinstall, reinstall } from "#central/machine/reinstall.ts";
import { release } from "#central/machine/release.ts";
import { kinds } from "#central/store/kinds.ts";
import type { Tx } from "#central/store/tx.ts";
import { settle } from "#central/sync/settle.ts";
import { withdrawStale } from "#domain/machine/bmc-order.ts";
import { nextEpoch } from "#domain/machine/epoch.ts";
import { unavailability } from "#domain/machine/placement.ts";
import { systemOnDisk } from "#domain/machine/reinstall.ts";
import type { MachineDesired } from "#gen/holdfast/state/v1/machine_pb.ts";
import { MachineLiveliness } from "#gen/metalstack/api/v2/machine_pb.ts";
import { copyOf } from "#lib/message.ts";
import { Refusal } from "#lib/refusal.ts";
import { Agent, type Answers, allAnswer } from "./agent.ts";
import { fail, goOn } from "./server.ts";
import { allocationUnder, longMs, nowMs, project, type Standing, uuid } from "./standing.ts";

export interface Step {
  readonly name: string;
  /** @param s changed in place; as it was when the step is not possible */
  readonly take: (s: Standing) => void | Promise<void>;
}

const user = "user@example.org";
const noIndexes = { ipsByMachine: {} } as MachineIndexes; // asked for by the transaction below alone, which has no rows

/** Central's transaction over this machine alone. */
function txOver(s: Standing): Tx {
  const rows = new Map<string, unknown>([
    [kinds.machineDesired.name, s.central],
    [kinds.machineObserved.name, s.observed],
    [kinds.reportCursor.name, {}],
  ]);
  return {
    get: (kind: { readonly name: string }) => rows.get(kind.name),
    list: () => [],
    by: () => [],
    put: (kind: { readonly name: string }, _: string, value: unknown) => {
      if (kind.name === kinds.machineDesired.name) s.central = value as MachineDesired; // of that kind
    },
    delete: () => {},
  } as unknown as Tx; // all of it that is asked for here
}

/** Central takes the agent's report. */
export function report(s: Standing): void {
  const next = settle(txOver(s), noIndexes.ipsByMachine, s.central, s.observed);
  if (next) s.central = next;
}

export const remove: Step = {
  name: "delete",
  take: (s) => refusable(() => release(txOver(s), noIndexes, { uuid, project, nowMs })),
};

/** As central's `allocate`, without the choice among machines and without addresses. */
const allocate: Step = {
  name: "create",
  take(s) {
    if (unavailability({ desired: s.central, observed: s.observed }, "uuid") !== undefined) return;
    const next = copyOf(s.central);
    next.epoch = nextEpoch(s.central, s.observed);
    withdrawStale(next, nowMs);
    next.allocation = allocationUnder(next.epoch);
    s.central = next;
  },
};

const reinstallAnew: Step = {
  name: "reinstall",
  take(s) {
    if (s.central.reinstall !== undefined || systemOnDisk(s.central, s.observed) === "none") return;
    refusable(() => {
      s.central = reinstall(txOver(s), { uuid, project, nowMs, user, image: undefined }).desired;
    });
  },
};

const abort: Step = {
  name: "abort reinstall",
  take: (s) => refusable(() => void abortReinstall(txOver(s), { uuid, project, nowMs })),
};

/** Possible while the agent knows all that was wanted before: it is never more than one of these behind, and a deletion. */
const whileTold = ({ name, take }: Step): Step => ({ name, take: (s) => (isTold(s) ? take(s) : undefined) });

const isTold = ({ central, told }: Standing): boolean =>
  central.epoch === told.epoch &&
  central.reinstall?.number === told.reinstall?.number &&
  central.reinstall?.aborted === told.reinstall?.aborted;

export const tell: Step = {
  name: "the agent is told",
  take(s) {
    if (!isTold(s)) s.told = copyOf(s.central);
  },
};

const looks = (name: string, answers: Partial<Answers>): Step => ({
  name: `the agent looks${name}`,
  take: (s) => new Agent(s).look({ ...allAnswer, ...answers }),
});

export const look = looks("", {});

export const serves: Step = { name: "the server goes on", take: (s) => goOn(s) };

/** Longer than any patience. */
export const timePasses: Step = {
  name: "time passes",
  take(s) {
    const { heardAt, powerActedAt } = s.observed;
    const longAgo = timestampFromMs(nowMs - longMs);
    s.observed = {
      ...s.observed,
      ...(heardAt && { heardAt: longAgo }),
      ...(powerActedAt && { powerActedAt: longAgo }),
    };
  },
};

/** That of a machine which is gone ends at last. */
export const streamEnds: Step = {
  name: "the stream of who is gone ends",
  take(s) {
    if (s.server.runs !== "waiting" || s.observed.liveliness === MachineLiveliness.DEAD)
      s.observed = { ...s.observed, waiting: false };
  },
};

const usual: readonly Step[] = [...[remove, whileTold(allocate), tell, look, serves, timePasses, streamEnds]];

/** What can happen beside the usual, by its subject. */
export const beside = {
  reinstallations: [whileTold(reinstallAnew), whileTold(abort)],
  power: [
    {
      name: "power is lost",
      take({ server }) {
        Object.assign(server, { isOn: false, runs: "nothing", bootsNetworkOnce: false });
      },
    },
    {
      name: "somebody switches it on or resets it",
      take({ server }) {
        Object.assign(server, { isOn: true, runs: "firmware", bootsNetworkOnce: false });
      },
    },
  ],
  failures: [
    looks(", and its BMC is silent", { bmc: false }),
    looks(", and its switch is silent", { switch: false }),
    { name: "its installer fails", take: (s) => fail(s) },
    looks(", and what it does fails", { effect: "fails" }),
  ],
  deaths: [
    looks(", and dies before it acts", { effect: "agent dies before" }),
    looks(", and dies when it has acted", { effect: "agent dies after" }),
  ],
} as const satisfies Readonly<Record<string, readonly Step[]>>;

export type Subject = keyof typeof beside;

/** An agent that comes back looks at once at what it had begun: not all that may happen in between is gone through. */
export function stepsWith(subjects: readonly Subject[]): (s: Standing) => readonly Step[] {
  const all = [...usual, ...subjects.flatMap((subject) => beside[subject])];
  const uponReturn = usual.filter(({ name }) => [serves, timePasses, streamEnds].every((step) => step.name !== name));
  return ({ observed }) => (observed.effects.some((e) => e.endedAt === undefined) ? uponReturn : all);
}

function refusable(act: () => unknown): void {
  try {
    act();
  } catch (error) {
    if (!(error instanceof Refusal)) throw error;
  }
}
