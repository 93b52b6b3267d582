// One column of the contract table, for `contract.test.ts`. Argument: its name. Prints what was broken meanwhile, and the cells.
import { ContractWorld } from "./contract.ts";
import type { Column } from "./contract-rows.ts";

const contract = new ContractWorld(process.argv[2] as Column); // as the test gives it
const cells = await contract.cells();
console.log(JSON.stringify({ violation: contract.world.invariants.violation, cells: [...cells] }));
