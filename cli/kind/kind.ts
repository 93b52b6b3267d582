import type { DescMessage, MessageShape } from "@bufbuild/protobuf";
import type { Labels, Meta } from "#gen/metalstack/api/v2/common_pb.ts";
import type { Api } from "../cli.ts";
import { listText, type Output, oneText } from "../view/output.ts";
import type { Column } from "../view/table.ts";

/** What a list is about: a project, or everything, as administrator. */
export interface Scope {
  readonly project: string | undefined;
  readonly isAdmin: boolean;
}

/** One thing of the operator's, by its noun. */
export interface Kind<D extends DescMessage> {
  readonly schema: D;
  /** @param nowMs since 1970, for ages */
  columns(nowMs: number): readonly Column<MessageShape<D>>[];
  list(api: Api, scope: Scope): Promise<readonly MessageShape<D>[]>;
  get(api: Api, id: string, scope: Scope): Promise<MessageShape<D> | undefined>;
}

/** A kind whose message type is hidden, so that all kinds fit one command. */
export interface Shown {
  list(api: Api, scope: Scope, output: Output, nowMs: number): Promise<string>;
  /** Undefined when there is no such thing. */
  describe(api: Api, id: string, scope: Scope, output: Output): Promise<string | undefined>;
}

export const shown = <D extends DescMessage>(kind: Kind<D>): Shown => ({
  list: async (api, scope, output, nowMs) =>
    listText(kind.schema, kind.columns(nowMs), await kind.list(api, scope), output),
  describe: async (api, id, scope, output) => {
    const value = await kind.get(api, id, scope);
    return value === undefined ? undefined : oneText(kind.schema, value, output);
  },
});

export const labelsText = (labels: Labels | undefined): string =>
  Object.entries(labels?.labels ?? {})
    .map(([key, value]) => (value === "" ? key : `${key}=${value}`))
    .join(",");

export const metaLabels = (value: { readonly meta?: Meta | undefined }): string => labelsText(value.meta?.labels);
