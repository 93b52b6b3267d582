/**
 * The part of the Fetch standard's `Headers` that the Connect client uses. The build puts it in the place of Node's: that one
 * loads all of fetch, which on a slow CPU takes as long as the rest of the start.
 */
class PlainHeaders {
  readonly #values = new Map<string, string>();

  constructor(init?: Iterable<readonly [string, string]> | Record<string, string> | PlainHeaders) {
    if (init !== undefined && Symbol.iterator in init)
      for (const [key, value] of init as Iterable<readonly [string, string]>) this.append(key, value);
    else for (const [key, value] of Object.entries(init ?? {})) this.append(key, value);
  }

  get(name: string): string | null {
    return this.#values.get(name.toLowerCase()) ?? null;
  }

  has(name: string): boolean {
    return this.#values.has(name.toLowerCase());
  }

  set(name: string, value: string): void {
    this.#values.set(name.toLowerCase(), String(value).trim());
  }

  append(name: string, value: string): void {
    const before = this.get(name);
    this.set(name, before === null ? value : `${before}, ${String(value).trim()}`);
  }

  delete(name: string): void {
    this.#values.delete(name.toLowerCase());
  }

  forEach(each: (value: string, key: string) => void): void {
    for (const [key, value] of this.entries()) each(value, key);
  }

  entries(): IterableIterator<[string, string]> {
    return new Map([...this.#values].sort(([a], [b]) => (a < b ? -1 : 1))).entries();
  }

  keys(): IterableIterator<string> {
    return new Map(this.entries()).keys();
  }

  [Symbol.iterator](): IterableIterator<[string, string]> {
    return this.entries();
  }
}

export { PlainHeaders as Headers };
