// holdfast.api.v1.HistoryService: what things were like, and who changed them. Whoever may see a thing as it was, sees that it was so.
import { create, type Message } from "@bufbuild/protobuf";
import { timestampFromMs, timestampMs } from "@bufbuild/protobuf/wkt";
import type { HandlerContext } from "@connectrpc/connect";
import {
  type Moment as AskedMoment,
  type HistoryOf,
  HistoryOfSchema,
  HistoryService,
  type HistoryServiceListRequest,
  type ThingChange,
  ThingChangeKind,
  ThingChangeSchema,
} from "#gen/holdfast/api/v1/history_pb.ts";
import { type Thing, ThingSchema } from "#gen/holdfast/api/v1/thing_pb.ts";
import { Refusal } from "#lib/refusal.ts";
import { callerOf } from "../access/caller.ts";
import { type Implementation, implement } from "../services.ts";
import type { State } from "../store/state.ts";
import { type PastKind, type ThingKind, thingKinds } from "../things/kinds.ts";
import { Sight } from "../things/sight.ts";
import { differences } from "./differences.ts";
import { type AtMoment, at, changesOf, isLeftOut, type Moment, type Step, stepsOf, type Was } from "./past.ts";
import { horizonOf } from "./retention.ts";

/** Changes on a page when the caller does not say. */
const pageSizeDefault = 50;
const fieldsMax = 100;
const differencesMax = 1_000;

export function historyService(state: State): Implementation {
  changesOf(state);
  return implement(HistoryService, {
    get({ of, at: moment }, context) {
      const look = looked(state, of, context);
      const found = look.at(momentOf(moment));
      return { thing: look.shown(found) ?? notThere(look.of) };
    },
    list(request, context) {
      return { ...pageOf(looked(state, request.of, context), request), ...heldAfter(state) };
    },
    diff({ of, from, to }, context) {
      const look = looked(state, of, context);
      const [before, after] = [from, to].map((moment) => look.shown(look.at(momentOf(moment))));
      if (before === undefined && after === undefined) throw notThere(look.of);
      return {
        differences: differences(ThingSchema, bare(before), bare(after)).slice(0, differencesMax).map(unwrapped),
      };
    },
  });
}

interface Look {
  readonly of: HistoryOf;
  readonly steps: readonly Step[];
  at(moment: Moment): AtMoment;
  /** As the caller may see it. @throws Refusal "precondition" HISTORY_LEFT_OUT */
  shown(found: AtMoment): Thing | undefined;
  /** As `shown`, but "left out" for what the caller could see if it were kept. */
  seen(was: Was): Thing | "left out" | undefined;
}

/** @throws Refusal "invalid" for a kind without a history */
function looked(state: State, of: HistoryOf = create(HistoryOfSchema), context: HandlerContext): Look {
  const { id, project } = of;
  const { kind, past } = kindNamed(of.kind);
  const sight = new Sight(callerOf(context), project);
  const steps = stepsOf(state, past.kind, id);
  const thing = (value: Message, revision: bigint): Thing =>
    create(ThingSchema, { kind: kind.name, id, revision, value: past.show(state, value, id) });
  const seen = (was: Was, revision = 0n) => {
    if (was === undefined) return undefined;
    if (isLeftOut(was)) return sight.sees(kind, nobodys) ? "left out" : undefined;
    return sight.sees(kind, kind.about(was, id)) ? thing(was, revision) : undefined;
  };
  return {
    of,
    steps,
    seen,
    at: (moment) => at(state, past.kind, id, steps, moment),
    shown({ was, revision }) {
      const found = seen(was, revision);
      if (found !== "left out") return found;
      throw new Refusal("precondition", `${kind.name} ${id} was too long then to be kept`, {
        reason: "HISTORY_LEFT_OUT",
      });
    },
  };
}

/** Of what was too long to be kept nobody knows whose it was. */
const nobodys = { project: "", tenant: "", user: "", isBase: false } as const;

function kindNamed(name: string): { readonly kind: ThingKind; readonly past: PastKind } {
  const kind = thingKinds.find((k) => k.name === name);
  if (kind?.past !== undefined) return { kind, past: kind.past };
  const known = thingKinds.flatMap((k) => (k.past === undefined ? [] : k.name)).join(", ");
  throw new Refusal("invalid", `of ${name.slice(0, 64)} no history is kept: there are ${known}`, {
    field: "of.kind",
    reason: "UNKNOWN_KIND",
  });
}

const notThere = ({ kind, id }: HistoryOf): never => {
  throw new Refusal("not-found", `there was no ${kind} ${id.slice(0, 256)} then, or it was not open to the caller`, {
    field: "of.id",
    reason: "NOT_FOUND",
  });
};

function momentOf(moment: AskedMoment | undefined): Moment {
  switch (moment?.at.case) {
    case "revision":
      return { case: "revision", value: moment.at.value };
    case "time":
      return { case: "timeMs", value: timestampMs(moment.at.value) };
    default:
      return { case: "now" };
  }
}

function pageOf(look: Look, { pageSize, before }: HistoryServiceListRequest) {
  const size = pageSize === 0 ? pageSizeDefault : pageSize;
  const changes: ThingChange[] = [];
  for (const step of [...look.steps].reverse()) {
    if (before !== 0n && step.revision >= before) continue;
    const change = changeOf(look, step);
    if (change === undefined) continue;
    if (changes.length === size) return { changes, more: true };
    changes.push(change);
  }
  const isKnown = changes.length > 0 || before !== 0n || look.seen(look.at({ case: "now" }).was) !== undefined;
  if (!isKnown) return notThere(look.of);
  return { changes, more: false };
}

/** Undefined for what the caller may not see, and for what changes nothing of what is shown. */
function changeOf(look: Look, step: Step): ThingChange | undefined {
  const [was, is] = [look.seen(step.before), look.seen(step.after)];
  if (was === undefined && is === undefined) return undefined;
  const isKnown = was !== "left out" && is !== "left out";
  const found = isKnown ? differences(ThingSchema, bare(was), bare(is)).map(unwrapped) : [];
  const { CREATED, CHANGED, DELETED } = ThingChangeKind;
  const kind = was === undefined ? CREATED : is === undefined ? DELETED : CHANGED;
  if (kind === CHANGED && isKnown && found.length === 0) return undefined;
  const { revision, atMs, actor, method, reason } = step;
  const fields = kind === CHANGED ? found.slice(0, fieldsMax).map(({ path }) => path) : [];
  return create(ThingChangeSchema, { revision, at: timestampFromMs(atMs), actor, method, reason, kind, fields });
}

/** Its content alone. */
const bare = (thing: Thing | undefined): Thing | undefined =>
  thing && create(ThingSchema, thing.value.case === undefined ? {} : { value: thing.value });

/** Paths begin within the thing: who asks knows its kind. */
const unwrapped = <D extends { readonly path: string }>(difference: D): D => ({
  ...difference,
  path: difference.path.replace(/^\w+\.?/, ""),
});

function heldAfter(state: State) {
  const horizon = horizonOf(state);
  if (horizon === undefined) return { heldAfter: state.revision };
  return { heldAfter: horizon.revision, heldAfterTime: timestampFromMs(Number(horizon.atMs)) };
}
