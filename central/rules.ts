import { rulesOf } from "./access/rule.ts";
import { services } from "./services.ts";

/** What every method of every service demands of its caller, read from the protos once. */
export const rules = rulesOf(services);
