import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { readConfig, settingsOf } from "#lib/config.ts";
import { adminTokenConfigSchema, centralConfigSchema } from "./config.ts";

const read = (...argv: string[]) => readConfig(centralConfigSchema, { argv, env: {}, file: undefined });
const problems = (...argv: string[]) => {
  const config = read(...argv);
  return config.ok ? [] : config.error;
};

describe("central's configuration:", () => {
  test("nothing needs to be said: an embedded store, on loopback", () => {
    const config = read();
    assert.ok(config.ok);
    assert.equal(config.value.store.kind, "embedded");
    assert.equal(config.value.listen.host, "127.0.0.1");
  });

  test("an etcd store needs its members' URLs, and what goes together", () => {
    assert.deepEqual(
      problems("--store.kind", "etcd", "--store.certFile", "c", "--store.user", "u", "--listen.port", "-1"),
      [
        "listen.port: -1 (--listen.port): >=0 is wanted",
        "store.endpoints: an etcd store needs at least one, such as https://10.0.0.1:2379",
        "store.keyFile: store.certFile and store.keyFile go together",
        "store.passwordFile: store.user and store.passwordFile go together",
      ],
    );
    assert.deepEqual(problems("--store.kind", "etcd", "--store.endpoints", "10.0.0.1:2379"), [
      'store.endpoints.0: "10.0.0.1:2379" (--store.endpoints): a URL with a port is wanted, such as https://10.0.0.1:2379',
    ]);
    assert.deepEqual(problems("--store.kind", "etcd", "--store.endpoints", "https://10.0.0.1:2379,http://a:1"), []);
  });

  test("TLS needs a certificate and its key", () => {
    assert.deepEqual(problems("--tls.certFile", "c.pem"), ["tls.keyFile: tls.certFile and tls.keyFile go together"]);
    assert.deepEqual(problems("--tls.certFile", "c.pem", "--tls.keyFile", "k.pem"), []);
  });

  test("TLS is by central's own certificate for its names, or by another one, and not by both", () => {
    assert.deepEqual(problems("--tls.names", "central.example,10.0.0.1"), []);
    assert.deepEqual(problems("--tls.names", "https://a:1,::1"), [
      'tls.names.0: "https://a:1" (--tls.names): a host name or an IPv4 address is wanted, such as central.example',
      'tls.names.1: "::1" (--tls.names): a host name or an IPv4 address is wanted, such as central.example',
    ]);
    assert.deepEqual(problems("--tls.names", "a", "--tls.certFile", "c", "--tls.keyFile", "k"), [
      "tls.names: central makes its own certificate for these, and tls.certFile is another one: leave one of them out",
    ]);
    assert.deepEqual(problems("--tls.caFile", "c"), [
      "tls.names: the names of central are wanted, or tls.certFile and tls.keyFile",
    ]);
  });

  test("web pages that may call are named by their origins, and never all of them", () => {
    assert.deepEqual(problems("--origins", "https://console.example,https://a.example:8443,http://localhost:3000"), []);
    const wanted = "an origin is wanted, such as https://console.example (http only on loopback), and never *";
    for (const wrong of ["*", "https://console.example/", "http://console.example", "console.example", "null"])
      assert.deepEqual(problems("--origins", wrong), [`origins.0: ${JSON.stringify(wrong)} (--origins): ${wanted}`]);
  });

  test("rates have a default, and can be left without a limit", () => {
    const config = read("--rate.perSecond", "0");
    assert.ok(config.ok);
    const { perSecond, burst, anonymousPerSecond, anonymousBurst } = config.value.rate;
    assert.deepEqual([perSecond, burst, anonymousPerSecond, anonymousBurst], [0, 1_000, 10, 100]);
    assert.deepEqual(problems("--rate.burst", "0"), ["rate.burst: 0 (--rate.burst): >=1 is wanted"]);
  });

  test("proxies that are trusted are prefixes", () => {
    assert.deepEqual(problems("--trustedProxies", "10.0.0.0/24,2001:db8::/64"), []);
    assert.deepEqual(problems("--trustedProxies", "10.0.0.1,*"), [
      'trustedProxies.0: "10.0.0.1" (--trustedProxies): an address and a length are wanted, such as 10.0.0.0/24 or 10.0.0.7/32',
      'trustedProxies.1: "*" (--trustedProxies): an address and a length are wanted, such as 10.0.0.0/24 or 10.0.0.7/32',
    ]);
  });

  test("a login needs an identity provider, and names nothing that others could read or take", () => {
    const least = [
      "--login.issuer",
      "https://id.example",
      "--login.clientId",
      "c",
      "--login.url",
      "https://central.example",
    ];
    assert.deepEqual(problems(...least), []);
    const url = "an https URL without user, ? and # is wanted, such as https://login.example (http only on loopback)";
    assert.deepEqual(
      problems(
        ...["--login.issuer", "http://id.example", "--login.url", "http://127.0.0.1:8443", "--login.scopes", "email"],
        ...["--login.redirects", "https://a.example/?x,https://b.example", "--login.sessionMinutes", "9"],
      ),
      [
        `login.issuer: "http://id.example" (--login.issuer): ${url}`,
        "login.clientId: is required: what central is called there",
        `login.redirects.0: "https://a.example/?x" (--login.redirects): ${url}`,
        'login.scopes: "email" (--login.scopes): openid must be among them',
        "login.sessionMinutes: 9 (--login.sessionMinutes): >=10 is wanted",
      ],
    );
  });

  test("every setting says what it means", () => {
    assert.deepEqual(
      settingsOf(adminTokenConfigSchema).filter((s) => s.meaning === ""),
      [],
    );
  });
});
