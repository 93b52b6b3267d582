import assert from "node:assert/strict";
import { describe, test } from "node:test";
import * as v from "valibot";
import { type ConfigSources, configHelp, environmentName, readConfig, settingsOf } from "./config.ts";

const schema = v.strictObject({
  name: v.pipe(v.string(), v.nonEmpty(), v.description("what it is called")),
  listen: v.optional(
    v.strictObject({
      httpPort: v.optional(v.pipe(v.number(), v.minValue(1), v.maxValue(65_535), v.description("TCP port")), 8443),
      isQuiet: v.optional(v.pipe(v.boolean(), v.description("says less")), false),
    }),
    {},
  ),
  peers: v.optional(v.pipe(v.array(v.string()), v.description("who else there is")), []),
  tls: v.optional(v.strictObject({ cert: v.pipe(v.string(), v.description("a file")) })),
  level: v.optional(v.pipe(v.picklist(["low", "high"]), v.description("how much")), "low"),
});

const read = (sources: Partial<ConfigSources> & { readonly yaml?: string }) => {
  const file = sources.yaml === undefined ? undefined : { name: "x.yaml", text: sources.yaml };
  return readConfig(schema, { argv: [], env: {}, file, ...sources });
};
const problems = (sources: Parameters<typeof read>[0]) => {
  const config = read(sources);
  return config.ok ? [] : config.error;
};
const good = (sources: Parameters<typeof read>[0]) => {
  const config = read(sources);
  assert.ok(config.ok, config.ok ? "" : config.error.join("\n"));
  return config.value;
};

describe("a configuration:", () => {
  test("flags go before environment, environment before the file, the file before defaults", () => {
    const yaml = "name: file\nlisten: { httpPort: 1 }\n";
    const env = { HOLDFAST_NAME: "env", HOLDFAST_LISTEN_HTTP_PORT: "2" };
    const rest = { peers: [], level: "low" };
    assert.deepEqual(good({ yaml }), { name: "file", listen: { httpPort: 1, isQuiet: false }, ...rest });
    assert.deepEqual(good({ yaml, env }), { name: "env", listen: { httpPort: 2, isQuiet: false }, ...rest });
    const argv = ["--listen.httpPort=3", "--name", "flag", "--listen.isQuiet", "true"];
    assert.deepEqual(good({ yaml, env, argv }), { name: "flag", listen: { httpPort: 3, isQuiet: true }, ...rest });
  });

  test("a list is given with commas or as YAML, and a group that is optional comes to be with its first setting", () => {
    assert.deepEqual(good({ argv: ["--name", "a", "--peers", "b, c"] }).peers, ["b", "c"]);
    assert.deepEqual(good({ argv: ["--name", "a", "--peers", "[b, 'c,d']"] }).peers, ["b", "c,d"]);
    assert.deepEqual(good({ argv: ["--name", "a"], env: { HOLDFAST_TLS_CERT: "f" } }).tls, { cert: "f" });
  });

  test("all problems are reported at once, each with its path, value, origin and what is wanted", () => {
    assert.deepEqual(
      problems({
        yaml: "level: middle\nlisten: { httpPort: 0 }\ntls: {}\ncolour: red\n",
        env: { HOLDFAST_LISTEN_IS_QUIET: "maybe" },
        argv: ["--listen.httpPort", "70000", "--lisen", "--peers"],
      }),
      [
        "--lisen: there is no such flag; --help lists them",
        "--peers: a value is wanted",
        'listen.isQuiet: "maybe" (HOLDFAST_LISTEN_IS_QUIET): true or false is wanted',
        "name: is required: what it is called",
        "listen.httpPort: 70000 (--listen.httpPort): <=65535 is wanted",
        "tls.cert: is required: a file",
        'level: "middle" (x.yaml): ("low" | "high") is wanted',
        "colour (x.yaml): there is no such setting",
      ],
    );
  });

  test("a value that is no value of its kind is reported once, and not when a later source puts it right", () => {
    const env = { HOLDFAST_NAME: "a", HOLDFAST_LISTEN_HTTP_PORT: "http" };
    assert.deepEqual(problems({ env }), ['listen.httpPort: "http" (HOLDFAST_LISTEN_HTTP_PORT): a number is wanted']);
    assert.equal(good({ env, argv: ["--listen.httpPort", "80"] }).listen.httpPort, 80);
  });

  test("a file that is no YAML, or no mapping, is named", () => {
    const argv = ["--name", "a"];
    assert.deepEqual(problems({ yaml: "- a\n- b\n", argv }), ["x.yaml: a mapping of settings is wanted"]);
    assert.match(problems({ yaml: "a: [1\nb: }\n", argv }).join("\n"), /^x\.yaml: .* at line \d+, column \d+:?$/m);
    assert.equal(good({ yaml: "# nothing\n", argv }).name, "a");
  });

  test("a file cannot reach beyond the settings", () => {
    assert.deepEqual(problems({ yaml: "__proto__: { name: x }\n", argv: ["--name", "a"] }), [
      "__proto__ (x.yaml): there is no such setting",
    ]);
  });

  test("--help names each setting, its default, its environment variable and its meaning", () => {
    const help = configHelp({ name: "thing", about: "Does things." }, schema);
    assert.match(help, /--listen\.httpPort NUMBER\n +TCP port \(default 8443\)\n +HOLDFAST_LISTEN_HTTP_PORT\n/);
    assert.match(help, /--name TEXT\n +what it is called \(required\)/);
    assert.match(help, /--tls\.cert TEXT\n +a file \(optional\)/);
    assert.equal(environmentName(["boot", "httpPort"]), "HOLDFAST_BOOT_HTTP_PORT");
    assert.ok(settingsOf(schema).every((s) => s.meaning !== ""));
  });
});
