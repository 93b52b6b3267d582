import { create } from "@bufbuild/protobuf";
import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import { imageMatches } from "#domain/image/query.ts";
import { latestImage, parseImageName, resolveImage } from "#domain/image/version.ts";
import { ImageService as AdminImageService } from "#gen/metalstack/admin/v2/image_pb.ts";
import {
  type Image,
  ImageClassification,
  ImageFeature,
  ImageSchema,
  ImageService,
} from "#gen/metalstack/api/v2/image_pb.ts";
import { dayMs } from "#lib/durations.ts";
import { Refusal } from "#lib/refusal.ts";
import { catalog, unknown } from "../catalog/catalog.ts";
import type { ServicePorts } from "../catalog/ports.ts";
import { checkUrl } from "../catalog/url.ts";
import { keepAnswer } from "../idempotency/kept-answers.ts";
import { machineIndexes } from "../machine/indexes.ts";
import { type Implementation, implement } from "../services.ts";
import { kinds } from "../store/kinds.ts";

/** How long an image is offered when nobody says otherwise. */
const shelfLifeMs = 90 * dayMs;

export function imageServices(ports: ServicePorts): Implementation[] {
  const images = catalog(ports, kinds.image, "image");
  const { state } = ports;
  const { byImage } = machineIndexes(state);
  return [
    implement(ImageService, {
      // The short form is understood here as well: it is what people type.
      get: ({ id }) => ({ image: resolveImage(images.list(), id, ports.clock.wallMs()) ?? unknown("image", id) }),
      list: ({ query }) => ({ images: images.list((i) => imageMatches(i, query)) }),
      latest: ({ os, classification }) => ({
        image:
          latestImage(images.list(), os, ports.clock.wallMs(), classification) ??
          unknown("image of operating system", os),
      }),
    }),
    implement(AdminImageService, {
      async create({ image: given = create(ImageSchema) }, context) {
        const wanted = withDefaults(given, ports.clock.wallMs());
        await checkUrl(ports, { what: `image ${wanted.id}`, url: wanted.url, field: "image.url" });
        const image = await images
          .by(context)
          .create(wanted.id, wanted, wanted.meta?.labels, (tx, image) => keepAnswer(context, tx, { image }));
        return { image };
      },
      async update(request, context) {
        await checkUrl(ports, { what: `image ${request.id}`, url: request.url ?? "", field: "url" });
        const image = await images.by(context).update(request.id, request, (draft) => {
          if (request.url !== undefined) draft.url = request.url;
          if (request.name !== undefined) draft.name = request.name;
          if (request.description !== undefined) draft.description = request.description;
          if (request.features.length > 0) draft.features = request.features;
          if (request.classification !== ImageClassification.UNSPECIFIED) draft.classification = request.classification;
          if (request.expiresAt !== undefined) draft.expiresAt = request.expiresAt;
        });
        return { image };
      },
      delete: async ({ id }, context) => ({
        image: await images.by(context).remove(id, (tx) => tx.by(byImage, id).map((m) => `machine ${m.id}`)),
      }),
      usage: ({ query }) => ({
        imageUsage: images
          .list((i) => imageMatches(i, query))
          .map((image) => ({ image, usedBy: state.by(byImage, image.id).map((m) => m.id) })),
      }),
    }),
  ];
}

function withDefaults(given: Image, nowMs: number): Image {
  const name = parseImageName(given.id);
  if (!name.ok) throw new Refusal("invalid", name.error, { field: "image.id" });
  if (given.url === "") throw new Refusal("invalid", `image ${given.id}: a URL is wanted`, { field: "image.url" });
  const expiresAt = given.expiresAt ?? timestampFromMs(nowMs + shelfLifeMs);
  const { UNSPECIFIED, PREVIEW } = ImageClassification;
  return create(ImageSchema, {
    ...given,
    expiresAt,
    features: given.features.length > 0 ? given.features : [ImageFeature.MACHINE],
    classification: given.classification === UNSPECIFIED ? PREVIEW : given.classification,
  });
}
