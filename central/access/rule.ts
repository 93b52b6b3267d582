// Who may call what: read from the methods' options in the .proto files, the one place where it is written down.
import { type DescMethod, type DescService, getOption, type Message } from "@bufbuild/protobuf";
import { reflect } from "@bufbuild/protobuf/reflect";
import {
  type AdminRole,
  Auditing,
  admin_roles,
  auditing,
  type InfraRole,
  infra_roles,
  type MachineRole,
  machine_roles,
  type ProjectRole,
  project_roles,
  type TenantRole,
  tenant_roles,
  Visibility,
  visibility,
} from "#gen/metalstack/api/v2/common_pb.ts";

/** Any one of the named roles suffices. A rule that names nothing lets nobody in. */
export interface Rule {
  /** `/metalstack.api.v2.IPService/Get` */
  readonly method: string;
  readonly isPublic: boolean;
  /** Any valid token will do. */
  readonly isSelf: boolean;
  readonly tenantRoles: readonly TenantRole[];
  readonly projectRoles: readonly ProjectRole[];
  readonly adminRoles: readonly AdminRole[];
  readonly infraRoles: readonly InfraRole[];
  readonly machineRoles: readonly MachineRole[];
  readonly isAudited: boolean;
}

/** What a request is about; empty where it does not say. */
export interface Subject {
  readonly project: string;
  readonly tenant: string;
  readonly machine: string;
}

export const noSubject: Subject = { project: "", tenant: "", machine: "" };

export const methodName = (method: DescMethod): string => `/${method.parent.typeName}/${method.name}`;

export function ruleOf(method: DescMethod): Rule {
  const seen = getOption(method, visibility);
  return {
    method: methodName(method),
    isPublic: seen === Visibility.PUBLIC,
    isSelf: seen === Visibility.SELF,
    tenantRoles: getOption(method, tenant_roles),
    projectRoles: getOption(method, project_roles),
    adminRoles: getOption(method, admin_roles),
    infraRoles: getOption(method, infra_roles),
    machineRoles: getOption(method, machine_roles),
    isAudited: getOption(method, auditing) === Auditing.INCLUDED,
  };
}

/** By method name. */
export const rulesOf = (services: readonly DescService[]): ReadonlyMap<string, Rule> =>
  new Map(services.flatMap((s) => s.methods.map((m) => [methodName(m), ruleOf(m)] as const)));

/** Fields that say what a request is about, first match wins. */
export const subjectFields = {
  project: ["project"],
  tenant: ["login", "tenant"],
  machine: ["uuid"],
} as const;

/** Reads the subject from a request's own fields. A machine's uuid only counts for rules that ask for machine roles. */
export function subjectOf(method: DescMethod, request: Message): Subject {
  const reflected = reflect(method.input, request);
  const first = (names: readonly string[]): string => {
    for (const name of names) {
      const field = method.input.fields.find((f) => f.name === name);
      const value = field?.fieldKind === "scalar" ? reflected.get(field) : undefined;
      if (typeof value === "string") return value;
    }
    return "";
  };
  return {
    project: first(subjectFields.project),
    tenant: first(subjectFields.tenant),
    machine: first(subjectFields.machine),
  };
}
