// The house rules that a machine can check: see CONTRIBUTING.md for why each exists.
import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import path from "node:path";
import { describe, test } from "node:test";
import { functionsOf, importsOf, readSource } from "./tidy.ts";

const root = path.resolve(import.meta.dirname, "..");
const linesMax = 400;
const functionLinesMax = 60;

/** Which parts a part may import; `test` and `lab` see everything, and nothing imports `test`. */
const arrows: Readonly<Record<string, readonly string[]>> = {
  gen: [],
  lib: ["gen"],
  domain: ["gen", "lib"],
  central: ["domain", "gen", "lib"],
  "partition-agent": ["domain", "pxe-boot", "gen", "lib"],
  "pxe-boot": ["lib"],
  installer: ["gen", "lib"],
  cli: ["gen", "lib"],
  scripts: ["lab", "gen", "lib"],
  lab: ["domain", "central", "partition-agent", "pxe-boot", "installer", "cli", "gen", "lib", "scripts"],
  test: ["domain", "central", "partition-agent", "pxe-boot", "installer", "cli", "gen", "lib", "scripts", "lab"],
};
/** `#agent/x.ts` → partition-agent/x.ts, as package.json says. */
const aliases: Readonly<Record<string, string>> = Object.fromEntries(
  Object.entries(
    (JSON.parse(readFileSync(path.join(root, "package.json"), "utf8")) as { imports: Record<string, string> }).imports,
  ).map(([alias, target]) => [alias.replace(/\/\*$/, ""), path.normalize(target).replace(/\/\*$/, "")]),
);
/** Packages that reach outside the process. */
const outside =
  /^(node:|lmdb$|pino$|etcd3$|systeminformation$|@connectrpc\/connect-node$|@grpc\/grpc-js$|esbuild$|openid-client$)/;
const ambient =
  /(?<![.\w#])(?:Date\.now\b|new Date\(\)|Math\.random\b|performance\.now\b|crypto\.(?:randomUUID|getRandomValues)|(?:setTimeout|setInterval|setImmediate|fetch)\(|process\.)/;
const forbiddenName = /(^|[-/])(utils?|helpers?|managers?|data|common)(?=[-/.]|$)/;

interface TsFile {
  /** from the root, with slashes */
  readonly name: string;
  readonly part: string;
  readonly text: string;
  readonly source: ReturnType<typeof readSource>;
}

function below(folder: string): string[] {
  return readdirSync(path.join(root, folder), { withFileTypes: true }).flatMap((entry) => {
    const name = path.posix.join(folder, entry.name);
    if (entry.isDirectory()) return entry.name.startsWith(".") || entry.name === "node_modules" ? [] : below(name);
    return entry.name.endsWith(".ts") ? [name] : [];
  });
}

const files: readonly TsFile[] = readdirSync(root, { withFileTypes: true })
  .filter(
    (e) => e.isDirectory() && !e.name.startsWith(".") && !["node_modules", "gen", "proto", "docs"].includes(e.name),
  )
  .flatMap((e) => below(e.name))
  .map((name) => {
    const text = readFileSync(path.join(root, name), "utf8");
    return { name, part: name.split("/")[0] as string, text, source: readSource(text) };
  });

/** The file that an import means, from the root; undefined for packages. */
function target(from: TsFile, specifier: string): string | undefined {
  if (specifier.startsWith(".")) return path.posix.normalize(path.posix.join(path.posix.dirname(from.name), specifier));
  const [alias = "", ...rest] = specifier.split("/");
  return specifier.startsWith("#") ? path.posix.join(aliases[alias] ?? alias, ...rest) : undefined;
}

/** What only tests use lies in testing/: builders, rehearsals, stand-ins for the other side. */
const isSupport = (name: string) => name.includes("/testing/");
const isTest = (f: TsFile) => f.name.endsWith(".test.ts") || f.part === "test" || isSupport(f.name);
const isMain = (f: TsFile) => /(^|\/|-)main\.ts$/.test(f.name);
const mayReachOutside = (f: TsFile) =>
  isTest(f) || isMain(f) || f.part === "lab" || f.part === "scripts" || /\/io\//.test(f.name);

/** Runs `check` over every file and fails with all complaints at once, each beginning with the file's name. */
function each(check: (file: TsFile) => readonly string[]): void {
  const complaints = files.flatMap((f) => check(f).map((what) => `${f.name}: ${what}`));
  assert.equal(complaints.length, 0, `\n${complaints.join("\n")}\n`);
}

describe("the house is tidy:", () => {
  test("imports follow the arrows between the parts", () => {
    each((f) =>
      importsOf(f.source).flatMap((specifier) => {
        const to = target(f, specifier)?.split("/")[0];
        if (to === undefined) return [];
        if (to === f.part)
          return specifier.startsWith("#") ? [`${specifier} is of its own part: use a path with ./`] : [];
        if (specifier.startsWith(".")) return [`${specifier} leaves the part: use #`];
        return arrows[f.part]?.includes(to) ? [] : [`${f.part} must not import ${to} (${specifier})`];
      }),
    );
  });

  test("only tests import what is made for tests", () => {
    each((f) => importsOf(f.source).filter((specifier) => !isTest(f) && isSupport(target(f, specifier) ?? "")));
  });

  test("an import names its file, with .ts", () => {
    each((f) =>
      importsOf(f.source)
        .filter((s) => /^[.#]/.test(s) && !/\.(ts|mjs|json)$/.test(s))
        .map((s) => `${s} has no extension`),
    );
  });

  test("only io/, main.ts, lab, scripts and tests reach outside the process", () => {
    each((f) => {
      if (mayReachOutside(f)) return [];
      const imported = importsOf(f.source).filter((s) => outside.test(s));
      const used = f.source.bare.split("\n").flatMap((line, i) => {
        const hit = ambient.exec(line)?.[0];
        return hit === undefined ? [] : [`line ${i + 1}: ${hit} (hand in a Clock, a Random or a port)`];
      });
      return [...imported.map((s) => `imports ${s}`), ...used];
    });
  });

  test("only tools and composition roots print", () => {
    const prints = new Set(["cli", "lab", "scripts", "test", "installer"]);
    each((f) =>
      prints.has(f.part) || isMain(f) || isTest(f) || !/\bconsole\./.test(f.source.bare) ? [] : ["uses console"],
    );
  });

  test("there are no barrels", () => {
    each((f) => (/\bexport\s+(?:type\s+)?(?:\*|\{[^}]*\}\s*from\b)/.test(f.source.bare) ? ["re-exports"] : []));
  });

  test("names say what a thing is: no utils, helpers, manager, data, common; kebab-case", () => {
    each((f) => [
      ...(forbiddenName.test(f.name) ? ["forbidden word in the name"] : []),
      ...(/^[a-z0-9./-]+$/.test(f.name) ? [] : ["not kebab-case"]),
    ]);
  });

  test(`a file has at most ${linesMax} lines, a function ${functionLinesMax}`, () => {
    each((f) => [
      ...(f.text.split("\n").length - 1 > linesMax ? [`${f.text.split("\n").length - 1} lines`] : []),
      ...functionsOf(f.source)
        .filter((x) => x.ownLines > functionLinesMax && !isTest(f))
        .map((x) => `the function at line ${x.line} has ${x.ownLines} lines of its own`),
    ]);
  });

  test("every file is a test, is started by somebody, or is imported", () => {
    const imported = new Set(files.flatMap((f) => importsOf(f.source).map((s) => target(f, s))));
    const started = files.flatMap((f) => [...f.source.code.matchAll(/["'`/]([\w-]+(?:\/[\w.-]+)*\.ts)["'`]/g)]);
    const named = new Set(started.map((m) => m[1] as string));
    const commands = ["package.json", ".ci/run"].map((name) => readFileSync(path.join(root, name), "utf8")).join();
    each((f) => {
      const isNamed = [...named].some((n) => n.includes("/") && f.name.endsWith(n));
      const alive =
        (isTest(f) && !isSupport(f.name)) ||
        isMain(f) ||
        imported.has(f.name) ||
        isNamed ||
        commands.includes(` ${f.name}`);
      return alive ? [] : ["is imported by nobody"];
    });
  });
});

describe("the reader of sources", () => {
  const strange = readSource(
    [
      'const a = "{ // no"; // {',
      'const b = /[/{]`"/g; /* { */',
      `const c = \`x \${f({ y: \`}\` })} {\`;`,
      "if (a) { b }",
    ].join("\n"),
  );

  test("sees braces in code only", () => {
    assert.equal(strange.bare.replace(/[^{}]/g, ""), "{}{}");
    assert.equal(strange.code.split("\n").length, 4);
  });

  test("finds the functions and their own lengths, without those inside", () => {
    const lines = [
      "function f<T>(a: T): Promise<void> {",
      "  const g = () => {",
      "    if (a) {}",
      "  };",
      "  if (a) {",
      "  }",
      "}",
    ];
    assert.deepEqual(functionsOf(readSource(lines.join("\n"))), [
      { line: 2, ownLines: 3 },
      { line: 1, ownLines: 4 },
    ]);
  });

  test("finds every kind of import", () => {
    const source = readSource(
      'import a from "./a.ts";\nimport "./b.ts";\nconst c = await import("./c.ts");\nexport { d } from "./d.ts";\n// import "./e.ts"\n',
    );
    assert.deepEqual(importsOf(source).sort(), ["./a.ts", "./b.ts", "./c.ts", "./d.ts"]);
  });
});
