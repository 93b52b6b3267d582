import type { ServiceImpl } from "@connectrpc/connect";
import { composeMachine, type References } from "#domain/machine/compose.ts";
import { matchesMachine } from "#domain/machine/query.ts";
import type { MachineDesired } from "#gen/holdfast/state/v1/machine_pb.ts";
import type { Machine, MachineService } from "#gen/metalstack/api/v2/machine_pb.ts";
import { PartitionSchema } from "#gen/metalstack/api/v2/partition_pb.ts";
import { SizeSchema } from "#gen/metalstack/api/v2/size_pb.ts";
import { Refusal } from "#lib/refusal.ts";
import { allDesired, desiredOf, desiredWith, type Site } from "../boot/site.ts";
import { callerOf } from "./caller.ts";
import { once } from "./once.ts";
import { actOf, type ForPeople } from "./router.ts";

type Served = Pick<ServiceImpl<typeof MachineService>, "get" | "list" | "create" | "delete">;

export function machineService(on: ForPeople): Served {
  const { site, budgets, audit } = on;
  return {
    get({ uuid, project }) {
      if (desiredOf(site, uuid)?.allocation?.project !== project)
        throw new Refusal("not-found", `machine ${uuid} does not exist in project ${project}`, { field: "uuid" });
      return { machine: shown(site, uuid) };
    },

    list({ project, query }) {
      const mine = allDesired(site).filter(({ allocation }) => allocation?.project === project);
      const asked = mine.filter((desired) =>
        matchesMachine({ desired, observed: site.observations.get(desired.uuid) }, query),
      );
      return { machines: asked.map(({ uuid }) => shown(site, uuid)) };
    },

    create(request, context) {
      const { project, name, size = "", image } = request;
      return once(on, request, context, (keep) =>
        audit.acting(actOf(on, context, { project, name, size, image }), async () => {
          const { uuid } = await budgets.create(request, callerOf(context), (local) =>
            keep({ machine: shownAs(site, local.uuid, desiredWith(site, local)) }),
          );
          return { machine: shown(site, uuid) };
        }),
      );
    },

    delete({ uuid, project }, context) {
      return audit.acting(actOf(on, context, { uuid, project }), async () => {
        await budgets.release(uuid, project);
        return { machine: shown(site, uuid) };
      });
    },
  };
}

const shown = (site: Site, uuid: string): Machine => shownAs(site, uuid, desiredOf(site, uuid));

function shownAs(site: Site, uuid: string, desired: MachineDesired | undefined): Machine {
  const references: References = {
    partition: (id) => site.ledger.get("partition", id, PartitionSchema),
    size: (id) => site.ledger.get("size", id, SizeSchema),
  };
  if (!desired) throw new Refusal("not-found", `machine ${uuid} is not known here`, { field: "uuid" });
  return composeMachine(desired, site.observations.get(uuid), references);
}
