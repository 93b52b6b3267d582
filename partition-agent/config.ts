// The agent's configuration: what may be said, what holds when nothing is said, and what each word means.
import * as v from "valibot";
import { parseIpv4, parseIpv4Prefix } from "#lib/net/ipv4.ts";
import { expandAddressRange } from "#lib/net/ipv4-range.ts";

const text = (meaning: string) => v.pipe(v.string(), v.nonEmpty(), v.description(meaning));
const port = (meaning: string) =>
  v.pipe(v.number(), v.integer(), v.minValue(1), v.maxValue(65_535), v.description(meaning));
const address = (meaning: string) =>
  v.pipe(
    v.string(),
    v.check((s) => parseIpv4(s).ok, "an IPv4 address is wanted, such as 10.0.0.1"),
    v.description(meaning),
  );

const subnet = v.strictObject({
  name: v.optional(text("name of the subnet, for logs; its prefix when not given")),
  network: v.pipe(
    v.string(),
    v.check((s) => parseIpv4Prefix(s).ok, "an IPv4 prefix is wanted, such as 10.0.0.0/24"),
    v.description("prefix of the subnet"),
  ),
  from: address("first address that is given out"),
  to: address("last address that is given out"),
  router: v.optional(address("default route of the machines")),
  dns: v.optional(v.array(address("a DNS server")), []),
  ntp: v.optional(v.array(address("an NTP server")), []),
  leaseSeconds: v.optional(v.pipe(v.number(), v.integer(), v.minValue(120), v.description("life of a lease")), 3600),
});

const central = v.pipe(
  v.strictObject({
    url: v.optional(
      text("URL of central, such as https://central.example:8443; a join token names one, so it may be left out there"),
    ),
    tokenFile: v.optional(
      text("file with the token that central made for this partition's agent; read again when it changes"),
    ),
    joinTokenFile: v.optional(
      text("file with a join token, by which the agent gets a certificate for itself; a new one in it is used at once"),
    ),
    caFile: v.optional(text("file with the certificate authority of central, PEM; one that joins is told it")),
  }),
  v.forward(
    v.partialCheck(
      [["tokenFile"], ["joinTokenFile"]],
      ({ tokenFile, joinTokenFile }) => (tokenFile === undefined) !== (joinTokenFile === undefined),
      "one of central.tokenFile and central.joinTokenFile is wanted, and not both",
    ),
    ["tokenFile"],
  ),
  v.forward(
    v.partialCheck(
      [["url"], ["tokenFile"]],
      ({ url, tokenFile }) => url !== undefined || tokenFile === undefined,
      "is required beside central.tokenFile: URL of central, such as https://central.example:8443",
    ),
    ["url"],
  ),
  v.forward(
    v.partialCheck(
      [["url"], ["joinTokenFile"]],
      ({ url, joinTokenFile }) => joinTokenFile === undefined || url === undefined || url.startsWith("https://"),
      "who joins by central.joinTokenFile reaches central at https:// only",
    ),
    ["url"],
  ),
);

export const agentConfigSchema = v.strictObject({
  partition: text("id of the partition that this agent serves"),
  dataDir: text("folder for ledger, leases, outbox and the image cache"),
  central,
  boot: v.strictObject({
    address: address("address of this host in the provisioning network: DHCP, TFTP and HTTP are served there"),
    httpPort: v.optional(port("port of HTTP and of the installers' RPCs"), 8080),
    programFolders: v.optional(
      v.pipe(v.array(v.string()), v.description("folders with boot programs; the first that has a file wins")),
      ["/usr/lib/ipxe"],
    ),
    subnets: v.pipe(
      v.array(subnet),
      v.minLength(1, "at least one subnet is wanted"),
      v.description("subnets that DHCP serves"),
    ),
  }),
  bmc: v.optional(
    v.strictObject({
      ranges: v.optional(
        v.pipe(
          v.array(
            v.pipe(
              v.string(),
              v.check(
                (s) => expandAddressRange(s).ok,
                "an address or a range of at most 4096 is wanted, such as 10.0.1.10-10.0.1.60",
              ),
            ),
          ),
          v.description("addresses and ranges of addresses at which BMCs are looked for, such as 10.0.1.10-10.0.1.60"),
        ),
        [],
      ),
      user: v.optional(text("login at the BMCs"), "admin"),
      passwordFile: v.optional(text("file with the password of that login")),
      pollSeconds: v.optional(v.pipe(v.number(), v.minValue(1), v.description("pause between two looks at a BMC")), 60),
      searchSeconds: v.optional(
        v.pipe(v.number(), v.minValue(1), v.description("pause between two tries to find one")),
        10,
      ),
      newMachines: v.optional(
        v.pipe(
          v.picklist(["power on", "leave alone"]),
          v.description("what to do with a machine that is off and was never seen: switching it on wipes its disks"),
        ),
        "leave alone",
      ),
    }),
    {},
  ),
  switch: v.optional(
    v.strictObject({
      id: text("id of the switch"),
      rack: v.optional(text("rack of the switch and of what hangs on it"), "rack1"),
      provisioningBridge: text("bridge in which machines boot and are installed"),
      ports: v.pipe(v.array(v.string()), v.description("ports that the agent may move between networks")),
    }),
  ),
  site: v.optional(
    v.pipe(
      v.strictObject({
        socket: v.optional(
          text("Unix socket for people on this host, for this user and root only; dataDir/site.sock when not given"),
        ),
        address: v.optional(
          address("address for people on other hosts of the site, with TLS and the site's token; none when not given"),
        ),
        port: v.optional(port("port of that address"), 8444),
        apiPort: v.optional(
          port("port of that address for members of projects that have a budget here; not served when not given"),
        ),
        names: v.optional(
          v.pipe(
            v.array(v.string()),
            v.description("host names and IPv4 addresses beside that one for which the agent makes its certificate"),
          ),
        ),
        certFile: v.optional(text("certificate of that address, PEM; the agent makes its own when not given")),
        keyFile: v.optional(text("private key of that certificate, PEM")),
        tokenFile: v.optional(
          text("file that the site's token is written to when it is made; dataDir/site-token when not given"),
        ),
      }),
      v.check(
        ({ certFile, keyFile }) => (certFile === undefined) === (keyFile === undefined),
        "certFile and keyFile belong together",
      ),
    ),
    {},
  ),
  imageCacheGigabytes: v.optional(
    v.pipe(v.number(), v.minValue(1), v.description("most that the image cache may hold")),
    50,
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

export type AgentConfig = v.InferOutput<typeof agentConfigSchema>;
