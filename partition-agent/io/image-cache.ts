import type { Clock } from "#lib/clock.ts";
import type { Log } from "#lib/log.ts";
import { ImageCache, type ImageCacheOptions } from "../image/image-cache.ts";
import { openImageFolder, sha256OfText } from "./image-folder.ts";
import { type ImageSourceOptions, imageSource } from "./image-source.ts";

/** The image cache in a folder of this host, fed by http:, https: and file:. @param folder is made when it is missing */
export async function openImageCache(
  folder: string,
  options: ImageCacheOptions & ImageSourceOptions,
  ports: { readonly clock: Clock; readonly log: Log },
): Promise<ImageCache> {
  const { clock, log } = ports;
  const source = imageSource(options);
  return ImageCache.load(
    { folder: await openImageFolder(folder), source, hashText: sha256OfText, clock, log },
    options,
  );
}
