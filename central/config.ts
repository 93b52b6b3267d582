// Central's configuration: what may be said, what holds when nothing is said, and what each word means.
import * as v from "valibot";
import { parsePrefix } from "#lib/net/prefix.ts";
import { keptDaysMax } from "./audit/traces.ts";
import { adminUser } from "./identity/admin-token.ts";

const text = (meaning: string) => v.pipe(v.string(), v.nonEmpty(), v.description(meaning));

const endpoint = v.pipe(
  v.string(),
  v.check((s) => /^https?:\/\/[^/\s]+:\d+$/.test(s), "a URL with a port is wanted, such as https://10.0.0.1:2379"),
);

/** Both or neither: `first` without `second` says nothing, or the other way round. */
const together = (first: unknown, second: unknown) => (first === undefined) === (second === undefined);

const store = v.pipe(
  v.strictObject({
    kind: v.optional(
      v.pipe(
        v.picklist(["embedded", "etcd", "memory"]),
        v.description(
          "where everything is kept: embedded, in a folder of one central; etcd, for several; memory, nowhere",
        ),
      ),
      "embedded",
    ),
    folder: v.optional(text("folder of the embedded store"), ".holdfast/central"),
    endpoints: v.optional(v.pipe(v.array(endpoint), v.description("URLs of etcd's members")), []),
    caFile: v.optional(text("certificate authority of etcd, PEM")),
    certFile: v.optional(text("client certificate for etcd, PEM")),
    keyFile: v.optional(text("its private key, PEM")),
    user: v.optional(text("etcd user")),
    passwordFile: v.optional(text("file with that user's password")),
  }),
  v.forward(
    v.partialCheck(
      [["kind"], ["endpoints"]],
      ({ kind, endpoints }) => kind !== "etcd" || endpoints.length > 0,
      "an etcd store needs at least one, such as https://10.0.0.1:2379",
    ),
    ["endpoints"],
  ),
  v.forward(
    v.partialCheck(
      [["certFile"], ["keyFile"]],
      ({ certFile, keyFile }) => together(certFile, keyFile),
      "store.certFile and store.keyFile go together",
    ),
    ["keyFile"],
  ),
  v.forward(
    v.partialCheck(
      [["user"], ["passwordFile"]],
      ({ user, passwordFile }) => together(user, passwordFile),
      "store.user and store.passwordFile go together",
    ),
    ["passwordFile"],
  ),
);

const hostName = v.pipe(
  v.string(),
  v.check(
    (s) => /^(?!-)[A-Za-z0-9-]+(\.[A-Za-z0-9-]+)*$/.test(s),
    "a host name or an IPv4 address is wanted, such as central.example",
  ),
);

const tls = v.pipe(
  v.strictObject({
    names: v.optional(
      v.pipe(
        v.array(hostName),
        v.description(
          "host names and IPv4 addresses of central: for these it makes its own certificate, under its own authority",
        ),
      ),
      [],
    ),
    caFile: v.optional(
      text("file into which that authority is written, PEM, for clients to trust; not used with certFile"),
      ".holdfast/ca.pem",
    ),
    certFile: v.optional(
      text("certificate chain of another authority, PEM; read again on SIGHUP, and within an hour when it has changed"),
    ),
    keyFile: v.optional(text("its private key, PEM")),
  }),
  v.forward(
    v.partialCheck(
      [["certFile"], ["keyFile"]],
      ({ certFile, keyFile }) => together(certFile, keyFile),
      "tls.certFile and tls.keyFile go together",
    ),
    ["keyFile"],
  ),
  v.forward(
    v.partialCheck(
      [["names"], ["certFile"]],
      ({ names, certFile }) => names.length === 0 || certFile === undefined,
      "central makes its own certificate for these, and tls.certFile is another one: leave one of them out",
    ),
    ["names"],
  ),
  v.forward(
    v.partialCheck(
      [["names"], ["certFile"], ["keyFile"]],
      ({ names, certFile, keyFile }) => names.length > 0 || certFile !== undefined || keyFile !== undefined,
      "the names of central are wanted, or tls.certFile and tls.keyFile",
    ),
    ["names"],
  ),
);

const isLoopback = (url: URL) => ["127.0.0.1", "localhost", "[::1]"].includes(url.hostname);

/** Of others, over TLS; plain text only within this host, for trials. */
const webUrl = (meaning: string) =>
  v.pipe(
    v.string(),
    v.check((s) => {
      const url = URL.canParse(s) ? new URL(s) : undefined;
      if (url === undefined || url.search !== "" || url.hash !== "" || url.username !== "") return false;
      return url.protocol === "https:" || (url.protocol === "http:" && isLoopback(url));
    }, "an https URL without user, ? and # is wanted, such as https://login.example (http only on loopback)"),
    v.description(meaning),
  );

const login = v.strictObject({
  issuer: webUrl("identity provider (OpenID Connect) that people log in at"),
  clientId: text("what central is called there"),
  clientSecretFile: v.optional(text("file with the secret of that client; left out for a public client")),
  url: webUrl("under which people reach central; URL/auth/oidc/callback is to be registered at the identity provider"),
  redirects: v.optional(
    v.pipe(
      v.array(webUrl("")),
      v.description("URLs that tokens may be sent to, exactly; programs on a user's own computer need not be named"),
    ),
    [],
  ),
  userClaim: v.optional(
    text("claim that is the login; its values must never pass from one person to another"),
    "email",
  ),
  scopes: v.optional(
    v.pipe(
      v.string(),
      v.check((s) => s.split(" ").includes("openid"), "openid must be among them"),
      v.description("scopes that are asked for, with spaces between"),
    ),
    "openid email profile",
  ),
  sessionMinutes: v.optional(
    v.pipe(v.number(), v.minValue(10), v.maxValue(525_600), v.description("life of a token that a login gives")),
    480,
  ),
});

const prefix = v.pipe(
  v.string(),
  v.check((s) => parsePrefix(s).ok, "an address and a length are wanted, such as 10.0.0.0/24 or 10.0.0.7/32"),
);

const origin = v.pipe(
  v.string(),
  v.check(
    (s) => URL.canParse(s) && new URL(s).origin === s && (s.startsWith("https://") || isLoopback(new URL(s))),
    "an origin is wanted, such as https://console.example (http only on loopback), and never *",
  ),
);

const perSecond = (meaning: string) => v.pipe(v.number(), v.minValue(0), v.maxValue(100_000), v.description(meaning));
const burst = (meaning: string) =>
  v.pipe(v.number(), v.integer(), v.minValue(1), v.maxValue(1_000_000), v.description(meaning));

const rate = v.strictObject({
  perSecond: v.optional(perSecond("calls with one token, in the long run; 0: as many as anybody likes"), 100),
  burst: v.optional(burst("calls with one token at once"), 1_000),
  anonymousPerSecond: v.optional(
    perSecond("calls without a good token from one address, or one /64 of IPv6; 0: as many as anybody likes"),
    10,
  ),
  anonymousBurst: v.optional(burst("calls without a good token from there at once"), 100),
});

/** How much of something is kept for later. @param whatFor for people */
const kept = (whatFor: string, days: number) => ({
  days: v.optional(v.pipe(v.number(), v.minValue(1), v.maxValue(keptDaysMax), v.description(whatFor)), days),
  megabytes: v.optional(
    v.pipe(v.number(), v.minValue(1), v.maxValue(1024), v.description("how much of it is kept; the oldest gives way")),
    64,
  ),
});

export const centralConfigSchema = v.strictObject({
  listen: v.optional(
    v.strictObject({
      host: v.optional(text("address that is listened on"), "127.0.0.1"),
      port: v.optional(
        v.pipe(v.number(), v.integer(), v.minValue(0), v.maxValue(65_535), v.description("TCP port")),
        8443,
      ),
    }),
    {},
  ),
  trustedProxies: v.optional(
    v.pipe(
      v.array(prefix),
      v.description("proxies in front of central, which are believed whom they call for (X-Forwarded-For)"),
    ),
    [],
  ),
  origins: v.optional(
    v.pipe(v.array(origin), v.description("origins of web pages that may call from browsers (CORS)")),
    [],
  ),
  rate: v.optional(rate, {}),
  tls: v.optional(tls),
  login: v.optional(login),
  join: v.optional(
    v.strictObject({
      certificateHours: v.optional(
        v.pipe(
          v.number(),
          v.minValue(1),
          v.maxValue(8_760),
          v.description("life of the certificates of partitions' agents, which renew them when two thirds are over"),
        ),
        720,
      ),
    }),
    {},
  ),
  store: v.optional(store, {}),
  adminTokenFile: v.optional(
    text("file into which the first start writes a token for the administrator"),
    ".holdfast/admin-token",
  ),
  provider: v.optional(text("login of the tenant whose members run the installation"), "provider"),
  probeUrls: v.optional(
    v.pipe(
      v.boolean(),
      v.description(
        "whether URLs of images and boot files must be there when they are given; false where central cannot reach them",
      ),
    ),
    true,
  ),
  history: v.optional(
    v.strictObject(kept("how long it is kept what things were like before they were changed", 30)),
    {},
  ),
  audit: v.optional(
    v.strictObject({
      ...kept("how long it is kept who has done what", 14),
      stdout: v.optional(
        v.pipe(v.boolean(), v.description("whether it is also printed, one line of JSON each")),
        false,
      ),
    }),
    {},
  ),
  log: v.optional(
    v.strictObject({
      level: v.optional(
        v.pipe(v.picklist(["debug", "info", "warn", "error"]), v.description("least severe events that are logged")),
        "info",
      ),
    }),
    {},
  ),
});

/** What the command that makes a token for an administrator takes: central's configuration, and this. */
export const adminTokenConfigSchema = v.strictObject({
  ...centralConfigSchema.entries,
  token: v.optional(
    v.strictObject({
      user: v.optional(text("login of an owner of the provider's tenant, whose token it shall be"), adminUser),
      hours: v.optional(
        v.pipe(v.number(), v.minValue(1), v.maxValue(8_760), v.description("length of its life")),
        8_760,
      ),
      file: v.optional(text("file that it is written to, mode 0600; left out: it is printed")),
    }),
    {},
  ),
});

export type AdminTokenConfig = v.InferOutput<typeof adminTokenConfigSchema>;

export type CentralConfig = v.InferOutput<typeof centralConfigSchema>;
