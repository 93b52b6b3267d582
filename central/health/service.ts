import type { MessageInitShape } from "@bufbuild/protobuf";
import { HealthService, type HealthStatusSchema } from "#gen/metalstack/api/v2/health_pb.ts";
import { type Implementation, implement } from "../services.ts";

/** What the parts of central say about themselves, asked at every call. */
export type HealthFacts = () => readonly MessageInitShape<typeof HealthStatusSchema>[];

export const healthService = (facts: HealthFacts): Implementation =>
  implement(HealthService, { get: () => ({ health: { services: [...facts()] } }) });
