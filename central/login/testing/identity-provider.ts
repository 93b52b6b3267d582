// A real identity provider in this process, and a browser that fills in its forms.
import { createServer, type RequestListener, type Server } from "node:http";
import type { AddressInfo } from "node:net";

export interface Account {
  readonly email: string;
  readonly email_verified?: boolean;
  readonly name?: string;
}

export const clientId = "holdfast";
export const clientSecret = "a secret of the client's, long enough";

export interface TestProvider {
  readonly issuer: string;
  /** By the name that is typed at login. */
  readonly accounts: Map<string, Account>;
  /** Lets browsers come back to there. */
  register(redirectUri: string): void;
  close(): Promise<void>;
}

/** The package has no types; this is what is used of it. */
type ProviderClass = new (issuer: string, options: object) => { callback(): RequestListener };

export async function startProvider(): Promise<TestProvider> {
  // As a text, so that the compiler does not look for types that are not there.
  const { default: Provider } = (await import("oidc-provider" as string)) as { default: ProviderClass };
  const accounts = new Map<string, Account>();
  const redirectUris: string[] = ["http://127.0.0.1:1/unused"];
  let serve: RequestListener | undefined;
  const server: Server = createServer((req, res) => serve?.(req, res));
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const issuer = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  const make = () =>
    new Provider(issuer, {
      clients: [
        {
          client_id: clientId,
          client_secret: clientSecret,
          redirect_uris: redirectUris,
          grant_types: ["authorization_code", "urn:ietf:params:oauth:grant-type:device_code"],
          response_types: ["code"],
        },
      ],
      claims: { openid: ["sub"], email: ["email", "email_verified"], profile: ["name"] },
      features: { deviceFlow: { enabled: true } },
      pkce: { required: () => true },
      cookies: { keys: ["of the test"] },
      findAccount: (_context: unknown, accountId: string) => ({
        accountId,
        claims: async () => ({ sub: accountId, ...accounts.get(accountId) }),
      }),
    }).callback();
  serve = make();
  return {
    issuer,
    accounts,
    register(redirectUri) {
      redirectUris.push(redirectUri);
      serve = make();
    },
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}

const stepsMax = 20;

/** Keeps cookies, follows redirects, and answers every form: with the person's name where it asks for one. */
export class Browser {
  readonly #cookies = new Map<string, Map<string, string>>();
  readonly #person: string;

  constructor(person: string) {
    this.#person = person;
  }

  /**
   * Goes on until there is nothing more to do, or it is sent to a URL that begins with `until`.
   * @returns where it ended, and what is written there
   */
  async visit(url: string, until = "nowhere"): Promise<{ url: URL; status: number; text: string }> {
    let at = new URL(url);
    let form: URLSearchParams | undefined;
    for (let step = 0; step < stepsMax; step++) {
      if (at.href.startsWith(until)) return { url: at, status: 0, text: "" };
      const response = await fetch(at, {
        redirect: "manual",
        headers: { cookie: this.#cookiesFor(at) },
        ...(form && { method: "POST", body: form }),
      });
      this.#keep(at, response.headers.getSetCookie());
      const to = response.headers.get("location");
      const text = await response.text();
      form = to === null ? this.#formOf(text) : undefined;
      if (to !== null) at = new URL(to, at);
      else if (form === undefined) return { url: at, status: response.status, text };
      else at = new URL(/<form[^>]*action="([^"]+)"/.exec(text)?.[1]?.replaceAll("&amp;", "&") ?? "", at);
    }
    throw new Error(`the browser went ${stepsMax} steps and was not done at ${at.href}`);
  }

  /** Undefined without a form that is to be sent. */
  #formOf(html: string): URLSearchParams | undefined {
    if (!/<form[^>]*method="post"/i.test(html)) return undefined;
    const fields = new URLSearchParams();
    for (const [input] of html.matchAll(/<input[^>]*>/g)) {
      const name = /name="([^"]+)"/.exec(input)?.[1];
      if (name !== undefined) fields.set(name, /value="([^"]*)"/.exec(input)?.[1] ?? this.#person);
    }
    return fields;
  }

  #cookiesFor({ host }: URL): string {
    return [...(this.#cookies.get(host) ?? [])].map(([name, value]) => `${name}=${value}`).join("; ");
  }

  #keep({ host }: URL, set: readonly string[]): void {
    const jar = this.#cookies.get(host) ?? new Map<string, string>();
    this.#cookies.set(host, jar);
    for (const line of set) {
      const [, name = "", value = ""] = /^([^=]+)=([^;]*)/.exec(line) ?? [];
      if (value === "" || /max-age=0|expires=Thu, 01 Jan 1970/i.test(line)) jar.delete(name);
      else jar.set(name, value);
    }
  }
}
