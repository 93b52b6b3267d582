import type { Token, TokenQuery } from "#gen/metalstack/api/v2/token_pb.ts";
import { hasLabels } from "../meta.ts";

export const tokenMatches = (token: Token, q: TokenQuery | undefined): boolean =>
  q === undefined ||
  ((q.uuid === undefined || token.uuid === q.uuid) &&
    (q.user === undefined || token.user === q.user) &&
    (q.description === undefined || token.description === q.description) &&
    (q.tokenType === undefined || token.tokenType === q.tokenType) &&
    hasLabels(token.meta, q.labels));
