import { crashTest } from "./crash-test.ts";
import { deeds } from "./deeds.ts";

crashTest(deeds.createNamedMachine);
