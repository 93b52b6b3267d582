import { create } from "@bufbuild/protobuf";
import { resolveImage } from "#domain/image/version.ts";
import { checkImageOfSize } from "#domain/machine/create.ts";
import { badImageConstraints, imageConstraintMatches } from "#domain/size/image-constraint.ts";
import { SizeImageConstraintService as AdminSizeImageConstraintService } from "#gen/metalstack/admin/v2/size_imageconstraint_pb.ts";
import {
  type ImageConstraint,
  SizeImageConstraintSchema,
  SizeImageConstraintService,
} from "#gen/metalstack/api/v2/size_imageconstraint_pb.ts";
import { Refusal } from "#lib/refusal.ts";
import { catalog, unknown, usable } from "../catalog/catalog.ts";
import type { ServicePorts } from "../catalog/ports.ts";
import { keepAnswer } from "../idempotency/kept-answers.ts";
import { type Implementation, implement } from "../services.ts";
import { kinds } from "../store/kinds.ts";

/** One constraint a size, known by the size's id. */
export function sizeImageConstraintServices(ports: ServicePorts): Implementation[] {
  const { state, clock } = ports;
  const constraints = catalog(ports, kinds.sizeImageConstraint, "image constraint of size");
  return [
    implement(SizeImageConstraintService, {
      try({ size, image }) {
        if (!state.get(kinds.size, size)) unknown("size", size);
        const images = state.list(kinds.image).map((row) => row.value);
        const found = resolveImage(images, image, clock.wallMs()) ?? unknown("image", image);
        checkImageOfSize(state.get(kinds.sizeImageConstraint, size)?.value, found.id);
        return {};
      },
    }),
    implement(AdminSizeImageConstraintService, {
      async create({ size, imageConstraints, meta, name, description }, context) {
        checkConstraints(imageConstraints);
        const wanted = create(SizeImageConstraintSchema, {
          size,
          imageConstraints,
          ...(name !== undefined && { name }),
          ...(description !== undefined && { description }),
        });
        const made = await constraints.by(context).create(size, wanted, meta?.labels, (tx, sizeImageConstraint) => {
          usable(tx, kinds.size, size, "size");
          keepAnswer(context, tx, { sizeImageConstraint });
        });
        return { sizeImageConstraint: made };
      },
      // An empty list leaves what is stored: the protocol cannot tell it from none.
      update: async (request, context) => ({
        sizeImageConstraint: await constraints.by(context).update(request.size, request, (draft) => {
          if (request.name !== undefined) draft.name = request.name;
          if (request.description !== undefined) draft.description = request.description;
          if (request.imageConstraints.length === 0) return;
          checkConstraints(request.imageConstraints);
          draft.imageConstraints = request.imageConstraints;
        }),
      }),
      delete: async ({ size }, context) => ({
        sizeImageConstraint: await constraints.by(context).remove(size, () => []),
      }),
      get: ({ size }) => ({ sizeImageConstraint: constraints.get(size) }),
      list: ({ query }) => ({ sizeImageConstraints: constraints.list((c) => imageConstraintMatches(c, query)) }),
    }),
  ];
}

function checkConstraints(wanted: readonly ImageConstraint[]): void {
  const bad = badImageConstraints(wanted);
  if (bad === undefined) return;
  const field = bad.at === undefined ? "image_constraints" : `image_constraints[${bad.at}]`;
  throw new Refusal("invalid", bad.why, { field });
}
