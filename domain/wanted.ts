/** Whether what a query asks of a field holds: what it does not ask for holds always. */
export const isWanted = <T>(wanted: T | undefined, have: T | undefined): boolean =>
  wanted === undefined || wanted === have;
