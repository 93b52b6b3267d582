// Which daemons there are: each says so at its interval, and is forgotten a day after its last word.
import { create } from "@bufbuild/protobuf";
import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import { newMeta, touched } from "#domain/meta.ts";
import { ComponentService as AdminComponentService } from "#gen/metalstack/admin/v2/component_pb.ts";
import { type Component, type ComponentQuery, ComponentSchema } from "#gen/metalstack/api/v2/component_pb.ts";
import { ComponentService, type ComponentServicePingRequest } from "#gen/metalstack/infra/v2/component_pb.ts";
import { dayMs } from "#lib/durations.ts";
import { Refusal } from "#lib/refusal.ts";
import { callerOf } from "../access/caller.ts";
import { unknown } from "../catalog/catalog.ts";
import type { ServicePorts } from "../catalog/ports.ts";
import { type Implementation, implement } from "../services.ts";
import { kinds } from "../store/kinds.ts";

const rememberedMs = dayMs;

export function componentServices({ state, clock, random }: ServicePorts): Implementation[] {
  const byUuid = state.index(kinds.component, "uuid", (c) => c.uuid);
  const found = (uuid: string) => state.by(byUuid, uuid)[0] ?? unknown("component", uuid);
  return [
    implement(ComponentService, {
      async ping(request, context) {
        checkPing(request);
        const { type, identifier, startedAt, interval, version } = request;
        const nowMs = clock.wallMs();
        const token = state.get(kinds.token, callerOf(context).token)?.value.token;
        await state.transact((tx) => {
          const id = componentId(request);
          const before = tx.get(kinds.component, id);
          const component = create(ComponentSchema, {
            uuid: before?.uuid ?? random.uuid(),
            type,
            identifier,
            startedAt,
            interval,
            version,
            token,
            reportedAt: timestampFromMs(nowMs),
            meta: before ? touched(before.meta, nowMs) : newMeta(undefined, nowMs),
          });
          tx.put(kinds.component, id, component, { ttlMs: rememberedMs });
        });
        return {};
      },
    }),
    implement(AdminComponentService, {
      get: ({ uuid }) => ({ component: found(uuid).value }),
      list: ({ query }) => ({
        components: state.list(kinds.component, (c) => matches(c, query)).map((row) => row.value),
      }),
      async delete({ uuid }) {
        const { result } = await state.transact((tx) => {
          const { id } = found(uuid);
          const component = tx.get(kinds.component, id) ?? unknown("component", uuid);
          tx.delete(kinds.component, id);
          return component;
        });
        return { component: result };
      },
    }),
  ];
}

/** One of its type with its name is one component, whichever process it is. */
const componentId = ({ type, identifier }: ComponentServicePingRequest): string =>
  `${type}/${encodeURIComponent(identifier)}`;

function checkPing({ type, startedAt, interval }: ComponentServicePingRequest): void {
  const missing =
    type === 0 ? "type" : startedAt === undefined ? "started_at" : interval === undefined ? "interval" : "";
  if (missing !== "") throw new Refusal("invalid", `a component's ${missing} is wanted`, { field: missing });
}

const matches = (component: Component, q: ComponentQuery | undefined): boolean =>
  q === undefined ||
  ((q.uuid === undefined || component.uuid === q.uuid) &&
    (q.type === undefined || component.type === q.type) &&
    (q.identifier === undefined || component.identifier === q.identifier));
