import { create } from "@bufbuild/protobuf";
import { reservationMatches, reservedIn } from "#domain/size/reservation.ts";
import { SizeReservationService as AdminSizeReservationService } from "#gen/metalstack/admin/v2/size_reservation_pb.ts";
import {
  type SizeReservation,
  SizeReservationSchema,
  SizeReservationService,
} from "#gen/metalstack/api/v2/size_reservation_pb.ts";
import { Refusal } from "#lib/refusal.ts";
import { catalog, unknown, usable } from "../catalog/catalog.ts";
import type { ServicePorts } from "../catalog/ports.ts";
import { keepAnswer } from "../idempotency/kept-answers.ts";
import { type Implementation, implement } from "../services.ts";
import { kinds } from "../store/kinds.ts";
import type { Tx } from "../store/tx.ts";
import { inTurn } from "./reserved.ts";

export function sizeReservationServices(ports: ServicePorts): Implementation[] {
  const { random } = ports;
  const reservations = catalog(ports, kinds.sizeReservation, "size reservation");
  return [
    implement(SizeReservationService, {
      get({ id, project }) {
        const sizeReservation = reservations.get(id);
        // Those of others are not there for the caller.
        return {
          sizeReservation: sizeReservation.project === project ? sizeReservation : unknown("size reservation", id),
        };
      },
      list: ({ project, query }) => ({
        sizeReservations: reservations.list((one) => one.project === project && reservationMatches(one, query)),
      }),
    }),
    implement(AdminSizeReservationService, {
      async create({ sizeReservation: given = create(SizeReservationSchema) }, context) {
        const id = given.id === "" ? random.uuid() : given.id;
        const wanted = create(SizeReservationSchema, { ...given, id });
        const made = await reservations.by(context).create(id, wanted, given.meta?.labels, (tx, sizeReservation) => {
          usable(tx, kinds.project, wanted.project, "project");
          usable(tx, kinds.size, wanted.size, "size");
          checkRoom(tx, wanted);
          keepAnswer(context, tx, { sizeReservation });
        });
        return { sizeReservation: made };
      },
      update: async (request, context) => ({
        sizeReservation: await reservations.by(context).update(request.id, request, (draft, tx) => {
          if (request.name !== undefined) draft.name = request.name;
          if (request.description !== undefined) draft.description = request.description;
          if (request.partitions.length > 0) draft.partitions = request.partitions;
          if (request.amount !== undefined) draft.amount = request.amount;
          if (request.partitions.length > 0 || request.amount !== undefined) checkRoom(tx, draft);
        }),
      }),
      delete: async ({ id }, context) => ({ sizeReservation: await reservations.by(context).remove(id, () => []) }),
      list: ({ query }) => ({ sizeReservations: reservations.list((one) => reservationMatches(one, query)) }),
    }),
  ];
}

/** No more is promised than there is, in each of the partitions. @throws Refusal "precondition", "not-found" for a partition */
function checkRoom(tx: Tx, { id, size, partitions, amount }: SizeReservation): void {
  const others = tx.list(kinds.sizeReservation).flatMap(({ value }) => (value.id === id ? [] : [value]));
  for (const partition of partitions) {
    usable(tx, kinds.partition, partition, "partition");
    inTurn(tx, { partition, size });
    const isOf = (m: { readonly partition: string; readonly size: string }) =>
      m.partition === partition && m.size === size;
    const there = tx.list(kinds.machineObserved).filter((row) => isOf(row.value)).length;
    const promised = reservedIn(others, { partition, size }, []).amount;
    if (promised + amount <= there) continue;
    const text = `partition ${partition} has ${there} machines of size ${size}, of which ${promised} are reserved already: ${amount} more are too many`;
    throw new Refusal("precondition", text, { reason: "NOT_SO_MANY", field: "size_reservation.amount" });
  }
}
