import type { Interceptor } from "@connectrpc/connect";
import { MachineService } from "#gen/metalstack/api/v2/machine_pb.ts";
import { Refusal } from "#lib/refusal.ts";
import { uniqueNameHeader, uniqueNameNotTaken } from "#lib/rpc/unique-name.ts";

/** Which names a project's machines have elsewhere, the agent does not know. */
export const uniqueNamesRefused: Interceptor = (next) => async (request) => {
  const { header, method } = request;
  if (!header.has(uniqueNameHeader)) return await next(request);
  if (method !== MachineService.method.create) throw uniqueNameNotTaken(method);
  const why = "whether another machine of the project has a name central alone knows, not the agent of one partition";
  throw new Refusal("precondition", `${why}: ask central, or leave ${uniqueNameHeader} out`, {
    field: uniqueNameHeader,
    reason: "UNIQUE_NAME_NOT_HERE",
  });
};
