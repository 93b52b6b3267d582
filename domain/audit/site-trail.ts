/**
 * What is kept of what people did on a site: by its agent, and at least as much by central, so that nothing that joins after a cut is
 * lost there while the agent still has it.
 */
export const siteTrail = {
  traces: 10_000,
  /** Of the traces as they are stored. */
  bytes: 8 << 20,
} as const;
