import { Code, ConnectError, type ConnectRouter } from "@connectrpc/connect";
import { Health, HealthCheckResponse_ServingStatus as Status } from "#gen/grpc/health/v1/health_pb.ts";
import type { Clock } from "../clock.ts";

export type Serving = "serving" | "not-serving";

export interface HealthSource {
  /** @param service full name, or empty for the whole server; undefined: no such service */
  readonly status: (service: string) => Serving | undefined;
  readonly clock: Clock;
  /** How often Watch looks for a change, in milliseconds. */
  readonly lookMs?: number;
}

const statusOf = (serving: Serving | undefined): Status =>
  serving === undefined ? Status.SERVICE_UNKNOWN : serving === "serving" ? Status.SERVING : Status.NOT_SERVING;

/** The standard health service. @source grpc.health.v1, health.proto */
export function health(source: HealthSource): (router: ConnectRouter) => void {
  const { status, clock, lookMs = 2_000 } = source;
  return (router) => {
    router.service(Health, {
      check(request) {
        const serving = status(request.service);
        if (serving === undefined) throw new ConnectError(`no service ${request.service} here`, Code.NotFound);
        return { status: statusOf(serving) };
      },
      async *watch(request, context) {
        let told: Status | undefined;
        while (!context.signal.aborted) {
          const now = statusOf(status(request.service));
          if (now !== told) yield { status: now };
          told = now;
          await clock.sleep(lookMs, context.signal);
        }
      },
    });
  };
}
