import { type Version, VersionService } from "#gen/metalstack/api/v2/version_pb.ts";
import { type Implementation, implement } from "../services.ts";

export type VersionFacts = Pick<Version, "version" | "revision" | "gitSha1" | "buildDate">;

export const versionService = (version: VersionFacts): Implementation =>
  implement(VersionService, { get: () => ({ version }) });
