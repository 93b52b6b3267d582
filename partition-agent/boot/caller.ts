import type { HandlerContext } from "@connectrpc/connect";
import { bootTarget } from "#domain/machine/boot-target.ts";
import type { MachineObserved } from "#gen/holdfast/state/v1/machine_pb.ts";
import { Refusal } from "#lib/refusal.ts";
import type { BootClaims } from "./boot-token.ts";
import { checkSession } from "./session.ts";
import { desiredOf, type Site } from "./site.ts";

/** The boot that a call's bearer token proves. @throws Refusal "unauthenticated" */
export async function callerOf(site: Site, context: HandlerContext): Promise<BootClaims> {
  const header = context.requestHeader.get("authorization") ?? "";
  const token = /^Bearer (\S+)$/i.exec(header)?.[1];
  if (token === undefined) throw new Refusal("unauthenticated", "the call carries no bearer token");
  return await site.tokens.boot(token);
}

/** Checks that the call counts for the machine. @returns what is known of it */
export async function inSession(site: Site, context: HandlerContext, uuid: string): Promise<MachineObserved> {
  const claims = await callerOf(site, context);
  const machine = site.observations.get(uuid);
  checkSession(claims, uuid, machine, desiredOf(site, uuid));
  return machine as MachineObserved;
}

/**
 * The first words of a boot: binds it to the machine whose uuid the installer read from its firmware. A machine that was
 * unknown by its MAC is taken in, unless that uuid is an installed machine's.
 */
export async function beginSession(site: Site, context: HandlerContext, uuid: string): Promise<BootClaims> {
  const claims = await callerOf(site, context);
  const machine = site.observations.get(uuid);
  if (claims.uuid === undefined && machine?.boot !== claims.boot) {
    if (bootTarget(desiredOf(site, uuid), machine) === "disk") {
      const text = `machine ${uuid} is installed and in use, but ${claims.mac} boots under its uuid`;
      throw new Refusal("precondition", text, { reason: "UUID_IN_USE" });
    }
    await site.observations.update(uuid, (m) => {
      m.boot = claims.boot;
      m.workedEpoch = 0n;
    });
  }
  checkSession(claims, uuid, site.observations.get(uuid), desiredOf(site, uuid));
  return claims;
}
