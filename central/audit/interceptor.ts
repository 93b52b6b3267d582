// Writes down the calls whose options say so, in two halves: around everything, for how a call ended and for those that are refused,
// and behind access, for a call that is about to be carried out.
import type { DescMessage, DescMethod, Message } from "@bufbuild/protobuf";
import {
  Code,
  ConnectError,
  type ContextKey,
  type ContextValues,
  createContextKey,
  type Interceptor,
} from "@connectrpc/connect";
import { AuditTraceSchema } from "#gen/metalstack/api/v2/audit_pb.ts";
import type { Clock } from "#lib/clock.ts";
import type { Log } from "#lib/log.ts";
import type { Random } from "#lib/random.ts";
import { RefusedBound } from "#lib/refused-bound.ts";
import { peerKey } from "#lib/rpc/peer.ts";
import { callerKey } from "../access/caller.ts";
import { methodName, noSubject, type Rule, subjectOf } from "../access/rule.ts";
import { kinds } from "../store/kinds.ts";
import type { State } from "../store/state.ts";
import { bodyOf, failureBody } from "./body.ts";
import type { Recorder } from "./recorder.ts";
import { type Call, rolesInUse, tenantAbout, traceOf } from "./trace.ts";

/** Calls of those without a right or a token that are written down. */
export const refusedBounds = { windowMs: 60_000, source: 60, all: 600 } as const;

export interface AuditingPorts {
  readonly rules: ReadonlyMap<string, Rule>;
  readonly recorder: Recorder;
  readonly state: State;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
}

export interface Auditing {
  /** Goes before all others, so that it sees the answers' codes. */
  readonly around: Interceptor;
  /** Goes behind access. */
  readonly begun: Interceptor;
}

const underwayKey: ContextKey<Underway | undefined> = createContextKey<Underway | undefined>(undefined, {
  description: "the call that is being written down",
});

export function auditing(ports: AuditingPorts): Auditing {
  const bound = new RefusedBound(refusedBounds);
  const around: Interceptor = (next) => async (request) => {
    const rule = ports.rules.get(methodName(request.method));
    if (!rule?.isAudited) return next(request);
    const { contextValues } = request;
    const call = new Underway({ ...ports, bound, rule, method: request.method, contextValues });
    contextValues.set(underwayKey, call);
    try {
      const response = await next(request);
      if (response.stream) return { ...response, message: watched(response.message, call) };
      call.answered(response.message);
      return response;
    } catch (error) {
      call.failed(error, request.stream ? undefined : request.message);
      throw error;
    }
  };
  const begun: Interceptor = (next) => (request) => {
    const call = request.contextValues.get(underwayKey);
    if (call === undefined) return next(request);
    if (request.stream) return next({ ...request, message: begunBy(request.message, call) });
    call.begin(request.message);
    return next(request);
  };
  return { around, begun };
}

async function* begunBy<T extends Message>(messages: AsyncIterable<T>, call: Underway): AsyncIterable<T> {
  for await (const message of messages) {
    call.begin(message);
    yield message;
  }
}

/** A stream that its reader leaves has been cancelled. */
async function* watched<T>(messages: AsyncIterable<T>, call: Underway): AsyncIterable<T> {
  let count = 0;
  let hasEnded = false;
  try {
    for await (const message of messages) {
      count++;
      yield message;
    }
    hasEnded = true;
    call.streamed(count);
  } catch (error) {
    hasEnded = true;
    call.failed(error, undefined, count);
    throw error;
  } finally {
    if (!hasEnded) call.failed(new ConnectError("the reader has left", Code.Canceled), undefined, count);
  }
}

interface UnderwayPorts extends AuditingPorts {
  readonly bound: RefusedBound;
  readonly rule: Rule;
  readonly method: DescMethod;
  readonly contextValues: ContextValues;
}

/** One call, from its beginning to its end. */
class Underway {
  readonly #ports: UnderwayPorts;
  readonly #uuid: string;
  readonly #atMs: number;
  readonly #monotonicMs: number;
  #call: Call | undefined;
  #isLeftOut = false;
  #secrets: readonly string[] = [];

  constructor(ports: UnderwayPorts) {
    this.#ports = ports;
    this.#uuid = ports.random.uuid();
    this.#atMs = ports.clock.wallMs();
    this.#monotonicMs = ports.clock.monotonicMs();
  }

  /** Access has let it in. Only the first message of a stream counts. */
  begin(request: Message): void {
    if (this.#call === undefined) this.#note(request, "allowed");
  }

  answered(answer: Message): void {
    const { output } = this.#ports.method;
    this.#end(succeeded, tellsOfTraces(output) ? undefined : bodyOf(output, answer).text);
  }

  streamed(messages: number): void {
    this.#end(succeeded, undefined, messages);
  }

  /** @param request absent where a stream's was not looked at */
  failed(error: unknown, request: Message | undefined, messages?: number): void {
    const { code, rawMessage } = ConnectError.from(error);
    if (this.#call === undefined) this.#note(request, "refused");
    this.#end(code, failureBody(Code[code], rawMessage, this.#secrets), messages);
  }

  #note(request: Message | undefined, how: "allowed" | "refused"): void {
    const { rule, method, contextValues, recorder, bound, clock, state } = this.#ports;
    const caller = contextValues.get(callerKey);
    const user = caller?.user ?? "";
    const address = contextValues.get(peerKey).address;
    const body = request && bodyOf(method.input, request);
    this.#secrets = body?.secrets ?? [];
    const subject = request === undefined ? noSubject : subjectOf(method, request);
    const tenantOf = (project: string) => state.get(kinds.project, project)?.value.tenant;
    this.#call = {
      uuid: this.#uuid,
      method: rule.method,
      user,
      token: caller?.token ?? "",
      roles: caller ? rolesInUse(rule, caller, subject) : "",
      // Somebody who was not let in must not be able to write into the records of whomever they name.
      tenant: how === "allowed" ? tenantAbout(rule, user, subject, tenantOf) : "",
      project: rule.projectRoles.length > 0 ? subject.project.slice(0, 64) : "",
      address,
    };
    if (how === "refused" || caller === undefined) {
      this.#isLeftOut = !bound.admits(user === "" ? `address ${address}` : `user ${user}`, clock.monotonicMs());
    }
    if (!this.#isLeftOut) {
      this.#sayLeftOut();
      recorder.record(traceOf(this.#call, this.#atMs, body?.text));
    }
  }

  #end(code: number, body: string | undefined, messages?: number): void {
    if (this.#call === undefined || this.#isLeftOut) return;
    const { clock, recorder } = this.#ports;
    const durationMs = clock.monotonicMs() - this.#monotonicMs;
    const outcome = { code, durationMs, ...(messages !== undefined && { messages }) };
    recorder.record(traceOf(this.#call, this.#atMs + durationMs, body, outcome));
  }

  #sayLeftOut(): void {
    const calls = this.#ports.bound.takeLeftOut();
    if (calls > 0) this.#ports.log.warn("audit-refused-calls-left-out", { calls });
  }
}

/** gRPC's code of success, for which Connect has none. */
const succeeded = 0;

/** Answers that are records themselves are not written down: each look at them would make them longer. */
const tellsOfTraces = (output: DescMessage): boolean => output.fields.some((f) => f.message === AuditTraceSchema);
