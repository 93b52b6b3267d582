/** One place of so many, counted from 0: which part of what is free those at one of the centrals that share a store take first. */
export interface Seat {
  readonly at: number;
  readonly of: number;
}

export const onlySeat: Seat = { at: 0, of: 1 };
