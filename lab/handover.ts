import type { BuiltFiles } from "./artifacts.ts";
import type { LabOptions } from "./options.ts";

/** What the lab's first process hands to the one inside the namespace, as JSON in a file. */
export interface Handover {
  readonly options: LabOptions;
  readonly files: BuiltFiles;
}
