import type { ServerResponse } from "node:http";
import type { HttpRequest, PlainHandler } from "#lib/io/rpc-handler.ts";
import { type LoginPorts, type LoginRequest, type LoginResponse, login } from "../login/login.ts";

/** Of a form: more than any device code needs. */
const formBytesMax = 16 << 10;

/** The login's paths on central's port. */
export const loginHandler =
  (ports: LoginPorts): PlainHandler =>
  async (req, res) => {
    const [path = "", query] = (req.url ?? "").split(/(?=\?)/, 2);
    if (!path.startsWith("/auth/")) return false;
    const form = req.method === "POST" ? await formOf(req) : new URLSearchParams();
    const answer = form === undefined ? tooLong : await login(ports, requestOf(req, path, query ?? "", form));
    if (answer === undefined) return false;
    // Two calls, because the types of the two HTTP versions do not chain alike.
    (res as ServerResponse).writeHead(answer.status, { ...answer.headers });
    res.end(answer.body);
    return true;
  };

const requestOf = (req: HttpRequest, path: string, query: string, form: URLSearchParams): LoginRequest => ({
  method: req.method ?? "",
  path,
  query,
  cookies: cookiesOf(req.headers.cookie ?? ""),
  authorization: req.headers.authorization ?? null,
  form,
});

const cookiesOf = (header: string): Record<string, string> =>
  Object.fromEntries(
    header.split(";").flatMap((pair) => {
      const at = pair.indexOf("=");
      return at < 0 ? [] : [[pair.slice(0, at).trim(), pair.slice(at + 1).trim()]];
    }),
  );

/** Undefined: more than is taken. */
async function formOf(req: HttpRequest): Promise<URLSearchParams | undefined> {
  const chunks: Uint8Array[] = [];
  let bytes = 0;
  for await (const chunk of req) {
    bytes += (chunk as Uint8Array).length; // without an encoding, a stream of HTTP gives bytes
    if (bytes > formBytesMax) return undefined;
    chunks.push(chunk as Uint8Array);
  }
  return new URLSearchParams(Buffer.concat(chunks).toString("utf8"));
}

const tooLong: LoginResponse = {
  status: 413,
  headers: { "content-type": "text/plain; charset=utf-8", connection: "close" },
  body: `a form exceeds ${formBytesMax} bytes\n`,
};
