import type { Index } from "../store/cache.ts";
import { kinds } from "../store/kinds.ts";
import type { State } from "../store/state.ts";
import { subjectsOf } from "./live-grants.ts";

type TokenIndex = Index<typeof kinds.token>;

/** Tokens by their owner's login. */
export const tokensOf = (state: State): TokenIndex =>
  state.index(kinds.token, "user", ({ token }) => token?.user ?? "");

/** Tokens by the projects and tenants that they name. */
export const tokensFor = (state: State): TokenIndex =>
  state.index(kinds.token, "subject", ({ token }) => (token === undefined ? [] : subjectsOf(token)));
