import { randomBytes, randomInt, randomUUID } from "node:crypto";
import type { Random } from "../random.ts";

export const systemRandom: Random = {
  bytes: (count) => new Uint8Array(randomBytes(count)),
  below: (bound) => randomInt(bound),
  uuid: () => randomUUID(),
};
