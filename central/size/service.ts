import { create } from "@bufbuild/protobuf";
import { sizeMatches } from "#domain/size/query.ts";
import { badSize, overlapping } from "#domain/size/rules.ts";
import { SizeService as AdminSizeService } from "#gen/metalstack/admin/v2/size_pb.ts";
import { type Size, SizeSchema, SizeService } from "#gen/metalstack/api/v2/size_pb.ts";
import { Refusal } from "#lib/refusal.ts";
import { budgetHolders } from "../budget/delegated.ts";
import { catalog } from "../catalog/catalog.ts";
import { claimTurn } from "../catalog/claim.ts";
import type { ServicePorts } from "../catalog/ports.ts";
import { keepAnswer } from "../idempotency/kept-answers.ts";
import { type Implementation, implement } from "../services.ts";
import { kinds } from "../store/kinds.ts";
import type { Tx } from "../store/tx.ts";

export function sizeServices(ports: ServicePorts): Implementation[] {
  const sizes = catalog(ports, kinds.size, "size");
  return [
    implement(SizeService, {
      get: ({ id }) => ({ size: sizes.get(id) }),
      list: ({ query }) => ({ sizes: sizes.list((s) => sizeMatches(s, query)) }),
    }),
    implement(AdminSizeService, {
      async create({ size: wanted = create(SizeSchema) }, context) {
        if (wanted.id === "") throw new Refusal("invalid", "a size's id is wanted", { field: "size.id" });
        const size = await sizes.by(context).create(wanted.id, wanted, wanted.meta?.labels, (tx, size) => {
          checkSize(tx, size);
          keepAnswer(context, tx, { size });
        });
        return { size };
      },
      update: async (request, context) => ({
        size: await sizes.by(context).update(request.id, request, (draft, tx) => {
          if (request.name !== undefined) draft.name = request.name;
          if (request.description !== undefined) draft.description = request.description;
          if (request.constraints.length > 0) draft.constraints = request.constraints;
          checkSize(tx, draft);
        }),
      }),
      delete: async ({ id }, context) => ({
        size: await sizes.by(context).remove(id, (tx) => [
          ...tx
            .list(kinds.machineObserved)
            .filter((m) => m.value.size === id)
            .map((m) => `machine ${m.id}`),
          ...tx
            .list(kinds.filesystemLayout)
            .filter((l) => l.value.constraints?.sizes.includes(id))
            .map((l) => `filesystem layout ${l.id}`),
          ...tx
            .list(kinds.sizeReservation)
            .filter((r) => r.value.size === id)
            .map((r) => `size reservation ${r.id}`),
          ...budgetHolders(tx, (b) => b.size === id),
          ...(tx.get(kinds.sizeImageConstraint, id) ? ["its image constraint"] : []),
        ]),
      }),
    }),
  ];
}

function checkSize(tx: Tx, size: Size): void {
  const bad = badSize(size);
  if (bad !== undefined) throw new Refusal("invalid", bad, { field: "size.constraints" });
  claimTurn(tx, "sizes");
  const others = tx.list(kinds.size).map((row) => row.value);
  const [overlapped] = overlapping(size, others);
  if (overlapped === undefined) return;
  throw new Refusal("exists", `size ${size.id} overlaps size ${overlapped.id}: a machine could match both`, {
    reason: "SIZES_OVERLAP",
    field: "size.constraints",
  });
}
