// What texts are made of: words that are known under a field's name, words that belong somewhere else, and strange ones.
import type { Seeded } from "#lib/seeded.ts";

/** Planted in every secret that is made up: nothing that people read may have it. */
export const canary = "canary-5d41f0";
export const canaryTraits = [canary, Buffer.from(canary).toString("base64").slice(0, 16)];

/** Of one field name no more are kept. */
const knownMax = 60;

/** Words that form a whole of some kind, whoever asks. */
const forms: Readonly<Record<string, readonly string[]>> = {
  ip: ["10.0.0.9", "10.0.1.1", "2001:db8::1", "0.0.0.0", "255.255.255.255", "::", "::ffff:10.0.0.1", "fe80::1"],
  prefix: [
    "10.0.0.0/16",
    "10.0.0.0/22",
    "192.0.2.0/24",
    "0.0.0.0/0",
    "::/0",
    "2001:db8::/48",
    "10.0.0.1/32",
    "10.1.0.0/12",
  ],
  mac: ["aa:bb:cc:00:00:01", "AA:BB:CC:00:00:02", "00:00:00:00:00:00", "ff:ff:ff:ff:ff:ff"],
  host: ["leaf1", "central.example", "a.b.c.d.example", "xn--80ak6aa92e.com"],
  url: ["http://images.example/debian", "https://user:pass@images.example:1/x?y#z", "ftp://[::1]/", "a:b"],
  email: ["ann@example.com", "a@b", '"odd one"@example.com'],
  key: [
    "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA me@home",
    "ssh-rsa AAAA",
    "no key",
  ],
  version: [">= 13", "*", "1.2.3", "debian-13", "debian-13.0.1", ">= 1 || < x", "99999999999999999999.1.1"],
  disk: ["/dev/sda", "/dev/sda1", "/dev/../etc", "/", "/boot"],
  base64: [Buffer.from(canary).toString("base64"), "=", "AAAA"],
};

/** Which form a field's name asks for, most telling word first. */
const formOf: readonly (readonly [RegExp, keyof typeof forms])[] = [
  [/prefix|cidr/, "prefix"],
  [/(^|_)mac/, "mac"],
  [/(^|_)ips?$|address|dns|ntp/, "ip"],
  [/url|uri|endpoint/, "url"],
  [/email/, "email"],
  [/ssh_public/, "key"],
  [/userdata/, "base64"],
  [/host/, "host"],
  [/version|semver|images?$|^os$/, "version"],
  [/device|path|disk/, "disk"],
];

const strange: readonly string[] = [
  "",
  " ",
  "\0",
  "a\0b",
  "..",
  "../../etc/passwd",
  "a/b/c",
  "%2e%2e%2f",
  "%",
  "*",
  "__proto__",
  "constructor",
  "toString",
  "ours-tenаnt", // with a Cyrillic а
  "lаb",
  "ＬＡＢ",
  "\u202eevil",
  "\u200b",
  "é",
  "e\u0301",
  "\ud83d\ude00",
  // Whoever cuts it at an even place cuts a character in two.
  `a${"\u{1f600}".repeat(60)}`,
  `a${"\u{1f600}".repeat(300)}`,
  "line\nbreak\r\n",
  "'; DROP TABLE machines; --",
  "{{7*7}}",
  "<script>",
  "null",
  "undefined",
  "NaN",
  "-1",
  "9999999999999999999999",
  "0e6a6e2c-93c4-4a67-9b5f-000000000001\n",
  "00000000-0000-0000-0000-000000000000",
  "partition-agent:lab",
  "turn/x",
  "machine.metal-stack.io/id",
];

export class Texts {
  readonly #random: Seeded;
  readonly #known = new Map<string, string[]>();
  /** Of all names, but those of secrets. */
  readonly #all: string[] = [];

  constructor(random: Seeded) {
    this.#random = random;
  }

  /** @param isSecret it is only said again where it belongs */
  learn(name: string, text: string, isSecret = false): void {
    const under = this.#known.get(name) ?? [];
    if (text === "" || text.length > 256 || under.includes(text)) return;
    this.#known.set(name, under);
    put(under, text, this.#random);
    if (!isSecret) put(this.#all, text, this.#random);
  }

  /** One for a field of this name: mostly one that makes sense there. */
  one(name: string): string {
    const chance = this.#random.next();
    const own = this.#known.get(name);
    if (own !== undefined && chance < 0.7) return this.#random.pick(own);
    const form = formOf.find(([pattern]) => pattern.test(name))?.[1];
    if (form !== undefined && chance < 0.82) return this.#random.pick(forms[form] ?? []);
    if (chance < 0.86 && this.#all.length > 0) return this.#random.pick(this.#all);
    return chance < 0.97 ? `words ${this.#random.below(50)}` : this.#strange();
  }

  /** A new secret. */
  secret(): string {
    return `${canary}-${this.#random.below(1_000)}`;
  }

  #strange(): string {
    const chance = this.#random.next();
    if (chance < 0.75) return this.#random.pick(strange);
    const length = this.#random.pick([127, 128, 129, 256, 512, 1_024, 5_000, 70_000]);
    const text = this.#random.pick(["x", "é", "\ud83d\ude00", "../", "0"]).repeat(length).slice(0, length);
    // Half a character cannot be sent.
    return Buffer.from(text).toString();
  }
}

function put(all: string[], text: string, random: Seeded): void {
  if (all.length < knownMax) all.push(text);
  else all[random.below(knownMax)] = text;
}
