import type { Log } from "./log.ts";

/**
 * Marks a place that is reached only when things go wrong in a certain way. The simulator demands that its seeds come by every mark
 * (test/sim/sometimes.ts finds them by this call); elsewhere it is a line of the debug log.
 * @param name said once in the source, in words: "an older revision was refused"
 */
export const sometimes = (log: Log, name: string): void => log.debug("sometimes", { name });
