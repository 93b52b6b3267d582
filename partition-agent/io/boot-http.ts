// The agent's plain HTTP: iPXE scripts, boot files, images, and what installed systems tell and ask.
import type { IncomingMessage, ServerResponse } from "node:http";
import type { PlainHandler } from "#lib/io/rpc-handler.ts";
import type { Log } from "#lib/log.ts";
import { type Mac, parseMac } from "#lib/net/mac.ts";
import { Refusal, type RefusalCode } from "#lib/refusal.ts";
import type { FileSource } from "#pxe-boot/files/file-source.ts";
import { httpFiles } from "#pxe-boot/io/http-files.ts";
import type { PageContext } from "../boot/boot-page.ts";
import type { Firmware } from "../boot/boot-token.ts";
import type { HomeAnswer } from "../boot/phone-home.ts";

export interface BootHttpPorts {
  readonly url: string;
  /** By sha256: kernels, initrds, images. */
  readonly files: FileSource;
  /** By name: what firmware loads. */
  readonly bootPrograms: FileSource;
  readonly script: (client: BootingClient, page: PageContext) => Promise<string>;
  readonly phoneHome: (token: string) => Promise<HomeAnswer>;
  readonly authorizedKeys: (token: string) => Promise<{ readonly keys: string } | "gone">;
  readonly log: Log;
}

export interface BootingClient {
  readonly mac: Mac;
  readonly uuid: string | undefined;
  readonly firmware: Firmware | undefined;
}

/** Of path and query; what we hand out is far below. */
const urlLengthMax = 2048;

export function bootHttp(ports: BootHttpPorts): PlainHandler {
  const mounted = [httpFiles("/files/", ports.files, ports.log), httpFiles("/boot/", ports.bootPrograms, ports.log)];
  return async (request, response) => {
    // The port also hears HTTP/2; files are served to either by what both have in common.
    const req = request as IncomingMessage;
    const res = response as ServerResponse;
    const [path = "", query = ""] = (req.url ?? "").split(/\?(.*)/s, 2);
    const page = pages[path];
    if (page) {
      return await answer(req, res, ports.log, () =>
        pageOf(req, path, () => page(ports, req, new URLSearchParams(query))),
      );
    }
    for (const handler of mounted) if (await handler(req, res)) return true;
    return false;
  };
}

interface Page {
  readonly status: number;
  readonly text: string;
  readonly allow?: string;
}

async function pageOf(req: IncomingMessage, path: string, make: () => Promise<Page>): Promise<Page> {
  const { length } = req.url ?? "";
  if (length > urlLengthMax) return { status: 414, text: `${path}: ${length} characters exceed ${urlLengthMax}\n` };
  return await make();
}

/** Handing a script out begins a boot, so only GET does: whoever asks by HEAD learns that there is one. */
async function bootIpxe(ports: BootHttpPorts, { method }: IncomingMessage, query: URLSearchParams): Promise<Page> {
  if (method !== "GET" && method !== "HEAD") return { status: 405, text: "GET is wanted\n", allow: "GET, HEAD" };
  const mac = parseMac(query.get("mac") ?? "");
  if (!mac.ok) return { status: 400, text: `${mac.error}\n` };
  if (method === "HEAD") return { status: 200, text: "" };
  const uuid = query.get("uuid")?.toLowerCase() ?? "";
  const firmware = query.get("firmware");
  const client: BootingClient = {
    mac: mac.value,
    uuid: /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/.test(uuid) ? uuid : undefined,
    firmware: firmware === "pcbios" || firmware === "efi" ? firmware : undefined,
  };
  const context: PageContext = {
    scriptUrl: scriptUrl(ports.url, client),
    firmware: client.firmware ?? "efi",
    loaderUrl: `${ports.url}/boot/local.efi`,
  };
  return { status: 200, text: await ports.script(client, context) };
}

/** Made anew from what was understood: the script repeats it. */
function scriptUrl(base: string, { mac, uuid, firmware }: BootingClient): string {
  const query = new URLSearchParams({ mac, ...(uuid !== undefined && { uuid }), ...(firmware && { firmware }) });
  return `${base}/boot.ipxe?${query}`;
}

async function home(ports: BootHttpPorts, req: IncomingMessage, query: URLSearchParams): Promise<Page> {
  if (req.method !== "POST") return { status: 405, text: "POST is wanted\n", allow: "POST" };
  req.resume();
  const answered = await ports.phoneHome(query.get("token") ?? "");
  return answered === "welcome" ? { status: 200, text: "welcome\n" } : over;
}

async function keys(ports: BootHttpPorts, req: IncomingMessage, query: URLSearchParams): Promise<Page> {
  if (req.method !== "GET") return { status: 405, text: "GET is wanted\n", allow: "GET" };
  const answered = await ports.authorizedKeys(query.get("token") ?? "");
  return answered === "gone" ? over : { status: 200, text: answered.keys };
}

const over: Page = { status: 410, text: "this allocation is over\n" };

const pages: Readonly<
  Partial<Record<string, (ports: BootHttpPorts, req: IncomingMessage, query: URLSearchParams) => Promise<Page>>>
> = { "/boot.ipxe": bootIpxe, "/phone-home": home, "/authorized-keys": keys };

/** Others are conflicts with the state of the machine: 409. */
const statusOf: Readonly<Partial<Record<RefusalCode, number>>> = {
  unauthenticated: 401,
  unavailable: 503,
  exhausted: 503,
};

async function answer(req: IncomingMessage, res: ServerResponse, log: Log, make: () => Promise<Page>): Promise<true> {
  const page = await make().catch((error: unknown): Page => {
    if (error instanceof Refusal) return { status: statusOf[error.code] ?? 409, text: `${error.message}\n` };
    log.error("boot-http-failed", { error });
    return { status: 500, text: "the agent failed; its log says why\n" };
  });
  res.writeHead(page.status, {
    "content-type": "text/plain; charset=utf-8",
    // The length of a script is not known before it is made, which a HEAD must not do.
    ...(req.method === "HEAD" ? {} : { "content-length": Buffer.byteLength(page.text) }),
    ...(page.allow !== undefined && { allow: page.allow }),
  });
  res.end(req.method === "HEAD" ? undefined : page.text);
  return true;
}
