// A login whose browser is somewhere else: RFC 8628, against central's own two paths.
import * as v from "valibot";
import { type Cli, note, readFile } from "../cli.ts";
import { Failure } from "../failure.ts";

const begun = v.object({
  device_code: v.string(),
  user_code: v.string(),
  verification_uri: v.string(),
  verification_uri_complete: v.optional(v.string()),
  expires_in: v.number(),
  interval: v.optional(v.number(), 5),
});
const given = v.object({ access_token: v.string() });
const refused = v.object({ error: v.string(), error_description: v.optional(v.string()) });

/** What is added to the interval whenever the server says slow down. @source RFC 8628 §3.5 */
const slowerSeconds = 5;
const grantType = "urn:ietf:params:oauth:grant-type:device_code";

/**
 * Says where to go with which code, and waits until somebody has done so.
 * @param ca PEM file
 * @returns the token
 */
export async function deviceToken(cli: Cli, server: string, ca: string | undefined): Promise<string> {
  const trusted = ca === undefined ? undefined : await readFile(cli, ca);
  const post = async (path: string, form: Record<string, string>) => {
    try {
      return await cli.postForm({ url: `${server}${path}`, form, ca: trusted }, cli.signal);
    } catch (error) {
      if (cli.signal.aborted) throw new Failure("interrupted", 130);
      throw new Failure(`${server}: ${error instanceof Error ? error.message : error}`);
    }
  };
  const first = await post("/auth/device", {});
  if (first.status === 404) throw new Failure(`${server} has no login configured: use --token-file`);
  const codes = read(begun, first.body) ?? refuse(first.body);
  note(cli, `open ${codes.verification_uri_complete ?? codes.verification_uri}`);
  note(cli, `and confirm the code ${codes.user_code}`);
  const until = cli.clock.monotonicMs() + codes.expires_in * 1000;
  let waitMs = codes.interval * 1000;
  while (cli.clock.monotonicMs() + waitMs <= until) {
    await cli.clock.sleep(waitMs, cli.signal).catch(() => {
      throw new Failure("interrupted", 130);
    });
    const answer = await post("/auth/token", { grant_type: grantType, device_code: codes.device_code });
    const token = read(given, answer.body)?.access_token;
    if (token !== undefined) return token;
    const error = read(refused, answer.body)?.error;
    if (error === "slow_down") waitMs += slowerSeconds * 1000;
    else if (error !== "authorization_pending") refuse(answer.body);
  }
  throw new Failure(`nobody confirmed the code within ${codes.expires_in} s`);
}

function refuse(body: string): never {
  const said = read(refused, body);
  const why = said?.error_description ?? said?.error ?? body.split("\n")[0]?.slice(0, 200);
  throw new Failure(`the login was refused: ${why}`);
}

/** Undefined when it is something else. */
function read<T>(schema: v.GenericSchema<unknown, T>, body: string): T | undefined {
  try {
    const checked = v.safeParse(schema, JSON.parse(body));
    return checked.success ? checked.output : undefined;
  } catch (error) {
    if (error instanceof SyntaxError) return undefined;
    throw error;
  }
}
