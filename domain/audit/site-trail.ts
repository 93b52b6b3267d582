/**
 * What is kept of what people did on a site: by its agent, and at least as much by central, so that nothing that joins after a cut is
 * lost there while the agent still has it.
 */
export const siteTrail = {
  traces: 10_000,
  /** Of the traces as they are stored. */
  bytes: 8 << 20,
  /** Of these, traces of attempts of which nobody knows whose they were: no stranger at the door takes the room of the rest. */
  strangers: 1_000,
} as const;

/** Whether the trace names nobody: the caller has proven nothing. */
export const isOfStranger = ({ user }: { readonly user: string }): boolean => user === "";
