/** Work that is done one after the other, in the order in which it came: whoever decides knows of all that was decided before. */
export class OneByOne {
  #last: Promise<unknown> = Promise.resolve();

  /** Settles as the work does. What fails keeps nobody behind it waiting. */
  run<T>(work: () => Promise<T>): Promise<T> {
    const done = this.#last.then(work);
    this.#last = done.catch(() => undefined);
    return done;
  }
}
