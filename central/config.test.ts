import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { readConfig, settingsOf } from "#lib/config.ts";
import { centralConfigSchema } from "./config.ts";

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
    assert.deepEqual(problems("--tls.certFile", "c.pem"), ["tls.keyFile: is required: private key, PEM"]);
  });

  test("every setting says what it means", () => {
    assert.deepEqual(
      settingsOf(centralConfigSchema).filter((s) => s.meaning === ""),
      [],
    );
  });
});
