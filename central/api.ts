// The public face of central: which services, behind which interceptors.
import type { ConnectRouter, Interceptor } from "@connectrpc/connect";
import { Health } from "#gen/grpc/health/v1/health_pb.ts";
import { ServerReflection } from "#gen/grpc/reflection/v1/reflection_pb.ts";
import { ServerReflection as ServerReflectionAlpha } from "#gen/grpc/reflection/v1alpha/reflection_pb.ts";
import type { Clock } from "#lib/clock.ts";
import type { Log } from "#lib/log.ts";
import type { Random } from "#lib/random.ts";
import { health, type Serving } from "#lib/rpc/health.ts";
import { reflection } from "#lib/rpc/reflection.ts";
import { refusals } from "#lib/rpc/refusal-to-connect.ts";
import { validation } from "#lib/rpc/validation.ts";
import { access } from "./access/interceptor.ts";
import { auditing } from "./audit/interceptor.ts";
import type { Recorder } from "./audit/recorder.ts";
import { once } from "./idempotency/once.ts";
import type { Identity } from "./identity/identity.ts";
import { callerBy } from "./identity/who-calls.ts";
import { uniqueNames } from "./machine/unique-name.ts";
import { asPlanned } from "./plan/as-planned.ts";
import type { RateLimit } from "./rate/rate-limit.ts";
import { rules } from "./rules.ts";
import { type Implementation, routes, services } from "./services.ts";
import type { State } from "./store/state.ts";

const open = new Set([Health, ServerReflection, ServerReflectionAlpha].map((s) => s.typeName));

export interface Api {
  readonly routes: (router: ConnectRouter) => void;
  /** Outermost first: auditing, refusals, access, what auditing says of those who were let in, validation. */
  readonly interceptors: readonly Interceptor[];
}

/** Takes a moment: compiles the rules of all requests. */
export function api(ports: {
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
  readonly identity: Identity;
  /** For what certificates prove. */
  readonly state: State;
  readonly implementations: readonly Implementation[];
  /** For the standard health service. @param service full name; empty: the whole server */
  readonly serving: (service: string) => Serving;
  /** For those who make many: it can be shared. */
  readonly validate?: Interceptor;
  /** Absent: no call is written down. */
  readonly recorder?: Recorder | undefined;
  /** Absent: anybody may call as often as they like. */
  readonly rateLimit?: RateLimit | undefined;
}): Api {
  const { clock, serving, recorder, rateLimit } = ports;
  const audit = recorder && auditing({ ...ports, rules, recorder });
  const known = new Set(["", ...services.map((s) => s.typeName)]);
  const status = (service: string) => (known.has(service) ? serving(service) : undefined);
  const [keyed, planned] = [once(ports), asPlanned(ports.state)];
  const all = [
    routes(ports.implementations, (method, handler) => uniqueNames(method, keyed(method, planned(method, handler)))),
    health({ status, clock }),
    reflection([...services, Health]),
  ];
  return {
    routes: (router) => {
      for (const register of all) register(router);
    },
    interceptors: [
      ...(audit ? [audit.around] : []),
      refusals(ports),
      access({
        rules,
        open,
        authenticate: (shown) => callerBy(ports, shown),
        count: (call) => rateLimit?.count(call),
      }),
      ...(audit ? [audit.begun] : []),
      ports.validate ?? validation(services),
    ],
  };
}
