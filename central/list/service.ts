// holdfast.api.v1.ListService: pages of any kind, in the order of ids.
import { ListService, type ListServiceListRequest } from "#gen/holdfast/api/v1/list_pb.ts";
import { bug } from "#lib/bug.ts";
import { callerOf } from "../access/caller.ts";
import { type Implementation, implement } from "../services.ts";
import type { State } from "../store/state.ts";
import { checkOpen, questionOf } from "../things/question.ts";
import { Sight } from "../things/sight.ts";
import { pageOf } from "./page.ts";
import { lastIdIn, listOf, pageToken } from "./page-token.ts";

/** Things on a page when the caller does not say. */
const pageSizeDefault = 100;

export const listService = (state: State): Implementation =>
  implement(ListService, {
    async list(request: ListServiceListRequest, context) {
      const question = questionOf([request.kind], request.query);
      const caller = callerOf(context);
      checkOpen(question, caller);
      const list = await listOf(request);
      const after = lastIdIn(request.pageToken, list);
      const kind = question.kinds[0] ?? bug("a question about one kind has none");
      const size = request.pageSize === 0 ? pageSizeDefault : request.pageSize;
      const { things, lastId } = pageOf(state, question, new Sight(caller, question.project), { kind, after, size });
      return {
        things: [...things],
        nextPageToken: lastId === undefined ? "" : pageToken(list, lastId),
        position: { history: state.history, revision: state.revision },
      };
    },
  });
