import type { CreateReads, NamedThings } from "#domain/machine/create.ts";
import { usableNetwork } from "../budget/delegated.ts";
import { usable } from "../catalog/catalog.ts";
import { type Kind, kinds } from "../store/kinds.ts";
import type { Tx } from "../store/tx.ts";

/** What a creation names, read through its transaction: nothing of it goes away or changes before the commit. */
export const createReads = (tx: Tx): CreateReads => ({
  usable: <K extends keyof NamedThings>(kind: K, id: string, noun: string) =>
    (kind === "network"
      ? usableNetwork(tx, id)
      : usable(tx, kinds[kind] as Kind, id, noun)) as unknown as NamedThings[K], // the compiler does not join the two maps
  list: <K extends "image" | "filesystemLayout" | "network">(kind: K) =>
    tx.list(kinds[kind] as Kind).map(({ value }) => value as unknown as NamedThings[K]), // as above
  imageConstraint: (size) => tx.get(kinds.sizeImageConstraint, size),
  placeOf(uuid) {
    const partition = tx.get(kinds.machineDesired, uuid)?.partition;
    return partition === undefined ? undefined : { partition, size: tx.get(kinds.machineObserved, uuid)?.size ?? "" };
  },
});
