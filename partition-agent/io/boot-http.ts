// The agent's plain HTTP: iPXE scripts, boot files, images, and the phone-home of installed systems.
import type { IncomingMessage, ServerResponse } from "node:http";
import type { PlainHandler } from "#lib/io/rpc-handler.ts";
import type { Log } from "#lib/log.ts";
import { type Mac, parseMac } from "#lib/net/mac.ts";
import { Refusal } from "#lib/refusal.ts";
import type { FileSource } from "#pxe-boot/files/file-source.ts";
import { httpFiles } from "#pxe-boot/io/http-files.ts";
import type { PageContext } from "../boot/boot-page.ts";
import type { HomeAnswer } from "../boot/phone-home.ts";

export interface BootHttpPorts {
  readonly url: string;
  /** By sha256: kernels, initrds, images. */
  readonly files: FileSource;
  /** By name: what firmware loads. */
  readonly bootPrograms: FileSource;
  readonly script: (client: { mac: Mac; uuid: string | undefined }, page: PageContext) => Promise<string>;
  readonly phoneHome: (token: string) => Promise<HomeAnswer>;
  readonly log: Log;
}

export function bootHttp(ports: BootHttpPorts): PlainHandler {
  const mounted = [httpFiles("/files/", ports.files, ports.log), httpFiles("/boot/", ports.bootPrograms, ports.log)];
  return async (request, response) => {
    // The port also hears HTTP/2; files are served to either by what both have in common.
    const req = request as IncomingMessage;
    const res = response as ServerResponse;
    const url = new URL(req.url ?? "/", ports.url);
    if (url.pathname === "/boot.ipxe") return await answer(res, ports.log, () => scriptFor(ports, url));
    if (url.pathname === "/phone-home") return await answer(res, ports.log, () => home(ports, req, url));
    for (const handler of mounted) if (await handler(req, res)) return true;
    return false;
  };
}

interface Page {
  readonly status: number;
  readonly text: string;
}

async function scriptFor(ports: BootHttpPorts, url: URL): Promise<Page> {
  const mac = parseMac(url.searchParams.get("mac") ?? "");
  if (!mac.ok) return { status: 400, text: `${mac.error}\n` };
  const context: PageContext = {
    scriptUrl: `${ports.url}${url.pathname}${url.search}`,
    firmware: url.searchParams.get("firmware") === "pcbios" ? "pcbios" : "efi",
    loaderUrl: `${ports.url}/boot/local.efi`,
  };
  const uuid = url.searchParams.get("uuid")?.toLowerCase();
  return { status: 200, text: await ports.script({ mac: mac.value, uuid }, context) };
}

async function home(ports: BootHttpPorts, req: IncomingMessage, url: URL): Promise<Page> {
  if (req.method !== "POST") return { status: 405, text: "POST is wanted\n" };
  req.resume();
  const answered = await ports.phoneHome(url.searchParams.get("token") ?? "");
  return answered === "welcome"
    ? { status: 200, text: "welcome\n" }
    : { status: 410, text: "this allocation is over\n" };
}

async function answer(res: ServerResponse, log: Log, make: () => Promise<Page>): Promise<true> {
  const page = await make().catch((error: unknown): Page => {
    if (error instanceof Refusal)
      return { status: error.code === "unauthenticated" ? 401 : 409, text: `${error.message}\n` };
    log.error("boot-http-failed", { error });
    return { status: 500, text: "the agent failed; its log says why\n" };
  });
  res.writeHead(page.status, {
    "content-type": "text/plain; charset=utf-8",
    "content-length": Buffer.byteLength(page.text),
  });
  res.end(page.text);
  return true;
}
