/** By which an address is stored. @param address in canonical text */
export const ipId = (namespace: string | undefined, address: string): string => `${namespace ?? ""}/${address}`;
