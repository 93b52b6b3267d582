import type { HandlerContext } from "@connectrpc/connect";
import { bootTarget } from "#domain/machine/boot-target.ts";
import type { MachineObserved } from "#gen/holdfast/state/v1/machine_pb.ts";
import { Refusal } from "#lib/refusal.ts";
import { lostRecord } from "../machine/lost-record.ts";
import { beginBoot } from "./begin-boot.ts";
import type { BootClaims } from "./boot-token.ts";
import { checkSession, otherMachine, staleBoot } from "./session.ts";
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

/** Enters what a call says of the machine, unless the call does not count for the state that is changed. */
export async function noteInSession(
  site: Site,
  context: HandlerContext,
  uuid: string,
  change: (machine: MachineObserved) => void,
): Promise<MachineObserved> {
  const claims = await callerOf(site, context);
  checkSession(claims, uuid, site.observations.get(uuid), desiredOf(site, uuid));
  return await site.observations.update(uuid, (m) => {
    checkSession(claims, uuid, m, desiredOf(site, uuid));
    change(m);
  });
}

/**
 * The first words of a boot: binds it to the machine whose uuid the installer read from its firmware. A machine that was
 * unknown by its MAC is taken in, unless that uuid is an installed machine's.
 */
export async function beginSession(site: Site, context: HandlerContext, uuid: string): Promise<BootClaims> {
  const claims = await callerOf(site, context);
  const desired = desiredOf(site, uuid);
  const machine = site.observations.get(uuid);
  if (claims.uuid === undefined && machine?.boot !== claims.boot) {
    // The token of an unknown MAC is good for one machine, and for no boot of it that was followed by another.
    const bound = site.observations.list().find((m) => m.boot === claims.boot);
    if (bound) throw new Refusal("denied", `the token is for machine ${bound.uuid}, not ${uuid}`, otherMachine);
    if (machine && claims.boot < machine.boot) throw staleBoot(uuid);
    if (bootTarget(desired, machine) === "disk" || lostRecord(desired, machine) !== undefined) {
      const text = `machine ${uuid} is installed and in use, but ${claims.mac} boots under its uuid`;
      throw new Refusal("precondition", text, { reason: "UUID_IN_USE" });
    }
    await beginBoot(site, uuid, claims);
  }
  if (claims.uuid !== undefined && claims.uuid !== uuid) {
    const text = `MAC ${claims.mac} is machine ${claims.uuid}'s, but a server with the UUID ${uuid} boots by it`;
    await site.observations.update(claims.uuid, (m) => {
      if (m.boot === claims.boot) m.lastFailure = text;
    });
    throw new Refusal("denied", `the token is not for machine ${uuid}: ${text}`, otherMachine);
  }
  checkSession(claims, uuid, site.observations.get(uuid), desired);
  return claims;
}
