/** What was asked of a run, in sentences, and how it came out. */
export class Checks {
  readonly count = { passed: 0, failed: 0, skipped: 0 };
  readonly #print: (line: string) => void;

  constructor(print: (line: string) => void) {
    this.#print = print;
  }

  /**
   * Runs one stage. After one has failed the others are skipped: each builds on the one before.
   * @returns what the stage gave, or undefined when it failed or was skipped
   */
  async stage<T>(sentence: string, work: () => Promise<T>): Promise<T | undefined> {
    if (this.count.failed > 0) {
      this.count.skipped += 1;
      this.#print(`  skipped  ${sentence}`);
      return undefined;
    }
    const begin = performance.now();
    try {
      const result = await work();
      this.count.passed += 1;
      this.#print(`  ok       ${sentence} (${((performance.now() - begin) / 1000).toFixed(1)} s)`);
      return result;
    } catch (error) {
      this.count.failed += 1;
      this.#print(`  FAILED   ${sentence}: ${reasonOf(error)}`);
      return undefined;
    }
  }

  get line(): string {
    const { passed, failed, skipped } = this.count;
    return `${passed} passed, ${failed} failed, ${skipped} skipped`;
  }

  get isGood(): boolean {
    return this.count.failed === 0 && this.count.passed > 0;
  }
}

/** An error with what caused it, in one line. */
export function reasonOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  return error.cause === undefined ? error.message : `${error.message}: ${reasonOf(error.cause)}`;
}
