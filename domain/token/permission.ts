import { create } from "@bufbuild/protobuf";
import {
  type MethodPermission,
  MethodPermissionSchema,
  type PermissionsByVisibility,
} from "#gen/metalstack/api/v2/token_pb.ts";

/** What permissions a request groups under, and the one subject that each group is for; "" for no subject in particular. */
export type PermissionKind = "project" | "tenant" | "machine" | "other";

export interface AskedPermission extends MethodPermission {
  readonly kind: PermissionKind;
}

/** Requests group permissions by what they are about; stored they are subject and methods. */
export function flatPermissions(asked: readonly PermissionsByVisibility[]): AskedPermission[] {
  return asked.flatMap(({ visibility: { case: about, value } }) => {
    switch (about) {
      case "project":
        return [permission("project", value.project, value.methods)];
      case "tenant":
        return [permission("tenant", value.login, value.methods)];
      case "machine":
        return [permission("machine", value.uuid, value.methods)];
      case undefined:
        return [];
      default:
        return [permission("other", "", value.methods)];
    }
  });
}

const permission = (kind: PermissionKind, subject: string, methods: string[]): AskedPermission => ({
  ...create(MethodPermissionSchema, { subject, methods }),
  kind,
});
