// A request for each method about a subject: valid, so that those who are let in reach the handler.
import { create, type DescField, type DescMethod, type Message, ScalarType } from "@bufbuild/protobuf";
import { type ReflectMessage, reflect } from "@bufbuild/protobuf/reflect";
import type { Side, TwoTenants } from "../../testing/two-tenants.ts";

/** Whose the subject is that a request names, and whose the thing within it. */
export interface About {
  /** Undefined: no subject is named. */
  readonly subject: Side | undefined;
  readonly thing: Side;
}

export type Requests = (method: DescMethod, about: About) => Message;

/** Names of fields by which access is decided, if the method has any. A uuid is one where machine roles are asked for. */
export const subjectNames: readonly string[] = ["project", "login", "tenant"];

export function requests(world: TwoTenants): Requests {
  return (method, { subject, thing }) => {
    const message = create(method.input) as Message; // as every DescMessage makes
    const into = reflect(method.input, message);
    const isBoot = method.parent.typeName.endsWith("v2.BootService");
    for (const field of method.input.fields) {
      const isSubject = subjectNames.includes(field.name) || (isBoot && field.name === "uuid");
      const of = isSubject ? subject : thing;
      // One that is taken would be refused before anything else is looked at.
      if (field.name === "ip" && method.name === "Create") continue;
      if (of !== undefined) fill(into, field, textOf(field.name, method.parent.typeName, of, world));
    }
    return message;
  };
}

function fill(into: ReflectMessage, field: DescField, text: string | undefined): void {
  if (field.fieldKind === "scalar" && field.scalar === ScalarType.STRING) {
    if (text !== undefined) into.set(field, text);
  } else if (
    field.fieldKind === "enum" &&
    (field.name === "role" || field.name === "command" || field.name === "state")
  )
    into.set(field, 2);
  else if (field.fieldKind === "message" && field.name === "update_meta") {
    const meta = create(field.message) as Message & { lockingStrategy?: number };
    meta.lockingStrategy = 2;
    into.set(field, reflect(field.message, meta));
  }
}

/** What a field of this name says in a request to this service; undefined: it is left out. */
function textOf(name: string, service: string, of: Side, world: TwoTenants): string | undefined {
  const inService = (word: string) => service.endsWith(`.${word}Service`);
  switch (name) {
    case "project":
    case "ip":
    case "network":
    case "login":
    case "machine":
      return of[name];
    case "tenant":
      return of.login;
    // Whoever may add members may add anybody.
    case "member":
      return world.ours.member;
    case "secret":
      return inService("Tenant") ? of.tenantSecret : of.projectSecret;
    case "uuid":
      if (inService("Token")) return of.token;
      if (inService("Audit")) return of.trace;
      return inService("Component") ? world.component : of.machine;
    case "id":
      if (inService("Network")) return of.network;
      if (inService("SizeReservation")) return of.reservation;
      if (inService("Switch")) return world.switch;
      return catalogIds.find(([word]) => inService(word))?.[1];
    case "user":
      return of.owner;
    case "partition":
      return "lab";
    case "size":
      return "small";
    case "image":
      return "debian-13.0.1";
    case "os":
      return "debian";
    case "mac":
      return "aa:bb:cc:00:00:01";
    case "identifier":
    case "old_switch":
    case "new_switch":
      return world.switch;
    case "name":
    case "description":
    case "reason":
    case "host":
      return "some words";
    default:
      return undefined;
  }
}

const catalogIds = [
  ["Filesystem", "default"],
  ["Image", "debian-13.0.1"],
  ["Partition", "lab"],
  ["Size", "small"],
] as const;
