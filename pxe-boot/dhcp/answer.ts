import { bug } from "#lib/bug.ts";
import { type Ipv4, ipv4Text } from "#lib/net/ipv4.ts";
import type { Catalog, HostAnswer } from "../catalog.ts";
import { bootFileOf } from "./boot-file.ts";
import { addressFor, addressProblem } from "./choose-address.ts";
import { type Client, clientOf } from "./client.ts";
import type { Lease } from "./lease.ts";
import { describeLease, type LeaseView } from "./leases.ts";
import { type DhcpMessage, type MessageType, noAddress } from "./message.ts";
import { optionCode } from "./option-codes.ts";
import { ipv4Option, messageTypeOf } from "./options.ts";
import { type Place, placeOf } from "./place.ts";
import { type Destination, destinationOf, nakReply, termsReply } from "./reply.ts";
import type { ServerSettings } from "./settings.ts";
import { type Subnet, subnetAt } from "./subnet.ts";

/** Why nothing is sent; a closed set, so that it can be counted. */
export type SilenceReason =
  | "not-a-request"
  | "bad-client"
  | "no-subnet"
  | "catalog"
  | "exhausted"
  | "other-server"
  | "no-boot-file"
  | "unknown-client"
  | "address-refused"
  | "declined"
  | "released"
  | "ignored";

export type Answer =
  | {
      readonly kind: "reply";
      readonly type: "offer" | "ack" | "nak";
      readonly reply: DhcpMessage;
      readonly destination: Destination;
      /** Holds from now on. A bound one must be durable before the reply leaves. */
      readonly lease: Lease | undefined;
    }
  | {
      readonly kind: "silence";
      readonly reason: SilenceReason;
      readonly why: string;
      /** A DECLINE or RELEASE changes a lease and is never answered. */
      readonly lease: Lease | undefined;
    };

export interface Facts {
  readonly settings: ServerSettings;
  readonly subnets: readonly Subnet[];
  readonly leases: LeaseView;
  readonly catalog: Catalog;
}

/** One request with all that was found out about it. */
export interface Case {
  readonly request: DhcpMessage;
  readonly client: Client;
  readonly place: Place;
  readonly facts: Facts;
  readonly nowMs: number;
}

type Serving = Extract<HostAnswer, { kind: "serve" }>;

/**
 * What a DHCP server answers, RFC 2131 §4.3.
 * @param nowMs wall-clock milliseconds, since leases outlive the process
 */
export function answer(request: DhcpMessage, facts: Facts, nowMs: number): Answer {
  const type = request.op === "request" ? messageTypeOf(request.options) : undefined;
  if (type === undefined) return silence("not-a-request", "it is a reply, or has no message type");
  const client = clientOf(request);
  if (!client.ok) return silence("bad-client", client.error);
  const place = placeOf(request, facts.subnets, facts.settings.address);
  if (!place.ok) return silence("no-subnet", place.error);
  return byType({ request, client: client.value, place: place.value, facts, nowMs }, type);
}

function byType(c: Case, type: MessageType): Answer {
  switch (type) {
    case "discover":
      return served(c, discover);
    case "request":
      return served(c, request);
    case "inform":
      return served(c, inform);
    case "decline":
      return decline(c);
    case "release":
      return release(c);
    case "offer":
    case "ack":
    case "nak":
      return silence("not-a-request", `a client does not send ${type}`);
    default:
      return bug(`message type ${type satisfies never}`);
  }
}

function served(c: Case, answerHost: (c: Case, host: Serving) => Answer): Answer {
  const { client, place } = c;
  const host = c.facts.catalog.host({
    mac: client.mac,
    uuid: client.uuid,
    architecture: client.architecture,
    isIpxe: client.isIpxe,
    subnet: place.subnet.name,
    relay: place.relay,
  });
  return host.kind === "serve" ? answerHost(c, host) : silence("catalog", host.why);
}

function discover(c: Case, host: Serving): Answer {
  const { client, place, facts, nowMs } = c;
  const address = addressFor(c, host.address, ipv4Option(c.request.options, optionCode.requestedAddress));
  if (address === undefined)
    return silence("exhausted", `subnet ${place.subnet.name} has no free address for ${client.holder}`);
  const held = facts.leases.at(address);
  const isBound = held?.holder === client.holder && held.state === "bound" && held.untilMs > nowMs;
  const lease: Lease = isBound
    ? held
    : { address, holder: client.holder, state: "offered", untilMs: nowMs + facts.settings.offerMs };
  return terms(c, host, "offer", lease);
}

/** The four kinds of REQUEST are told apart by what they carry. @source RFC 2131 §4.3.2, table 4 */
function request(c: Case, host: Serving): Answer {
  const { options, ciaddr } = c.request;
  const chosen = ipv4Option(options, optionCode.serverId);
  const wanted = ipv4Option(options, optionCode.requestedAddress);
  if (chosen !== undefined) return select(c, host, chosen, wanted ?? ciaddr);
  if (wanted !== undefined && ciaddr === noAddress) return reboot(c, host, wanted);
  if (ciaddr !== noAddress) return renew(c, host, ciaddr);
  return silence("ignored", "a REQUEST without server, requested address and own address");
}

function select(c: Case, host: Serving, chosen: Ipv4, wanted: Ipv4): Answer {
  const { place, facts, client, nowMs } = c;
  if (chosen !== place.serverId && chosen !== facts.settings.address) {
    const held = facts.leases.of(client.holder, place.subnet);
    const given = held?.state === "offered" ? ({ ...held, state: "released", untilMs: nowMs } as const) : undefined;
    return silence("other-server", `${client.holder} took the offer of ${ipv4Text(chosen)}`, given);
  }
  const problem = addressProblem(c, wanted, host.address);
  return problem === undefined ? bind(c, host, wanted) : refuse(c, problem);
}

function reboot(c: Case, host: Serving, wanted: Ipv4): Answer {
  const { leases, subnets } = c.facts;
  const { holder } = c.client;
  const isKnown = host.address !== undefined || subnets.some((subnet) => leases.of(holder, subnet) !== undefined);
  if (!isKnown) return silence("unknown-client", `${holder} asks for ${ipv4Text(wanted)}, and has no lease here`);
  const isItsOwn = wanted === host.address || leases.at(wanted)?.holder === holder;
  const problem = isItsOwn ? addressProblem(c, wanted, host.address) : `${ipv4Text(wanted)} is not its address`;
  return problem === undefined ? bind(c, host, wanted) : refuse(c, problem);
}

/** Also grants what this server has no record of, as long as nobody else has a claim: its store may have been lost. */
function renew(c: Case, host: Serving, held: Ipv4): Answer {
  if (!subnetAt(c.facts.subnets, held))
    return silence(
      "unknown-client",
      `${c.client.holder} renews ${ipv4Text(held)}, which is in no subnet of this server`,
    );
  const problem = addressProblem(c, held, host.address);
  return problem === undefined ? bind(c, host, held) : refuse(c, problem);
}

function bind(c: Case, host: Serving, address: Ipv4): Answer {
  const untilMs = c.nowMs + c.place.subnet.leaseSeconds * 1000;
  return terms(c, host, "ack", { address, holder: c.client.holder, state: "bound", untilMs });
}

/** Says no, where this server may. Firmware that gets a NAK stops for good or boots its disk; silence makes it start over. */
function refuse(c: Case, why: string): Answer {
  const { client, place } = c;
  if (client.isBooting || !place.subnet.isAuthoritative) return silence("address-refused", `${client.holder}: ${why}`);
  return {
    kind: "reply",
    type: "nak",
    reply: nakReply(c.request, place, why),
    destination: destinationOf(c.request, "nak"),
    lease: undefined,
  };
}

function inform(c: Case, host: Serving): Answer {
  return terms(c, host, "ack", undefined);
}

function decline({ request, client, place, facts, nowMs }: Case): Answer {
  const address = ipv4Option(request.options, optionCode.requestedAddress);
  const held = address === undefined ? undefined : facts.leases.at(address);
  if (held === undefined || held.holder !== client.holder || held.state === "released" || held.state === "declined")
    return silence("ignored", `${client.holder} declines an address that it does not hold`);
  const untilMs = nowMs + facts.settings.declineMs;
  const why = `${client.holder} found somebody else at ${ipv4Text(held.address)} in subnet ${place.subnet.name}`;
  return silence("declined", why, { ...held, state: "declined", untilMs });
}

function release({ request, client, facts, nowMs }: Case): Answer {
  const held = facts.leases.at(request.ciaddr);
  if (held === undefined || held.holder !== client.holder || held.state === "released" || held.state === "declined")
    return silence("ignored", `${client.holder} releases an address that it does not hold`);
  return silence("released", describeLease(held), { ...held, state: "released", untilMs: nowMs });
}

function terms(c: Case, host: Serving, type: "offer" | "ack", lease: Lease | undefined): Answer {
  const { request, client, place, facts } = c;
  const boot = bootFileOf(client, host.scriptUrl, facts.settings);
  if (!boot.ok) return silence("no-boot-file", `${client.holder}: ${boot.error}`);
  const reply = termsReply(request, place, {
    type,
    address: lease?.address ?? noAddress,
    hasLease: lease !== undefined,
    hostname: host.hostname,
    boot: boot.value,
    isIpxe: client.isIpxe,
    nextServer: facts.settings.address,
  });
  return { kind: "reply", type, reply, destination: destinationOf(request, type), lease };
}

const silence = (reason: SilenceReason, why: string, lease?: Lease): Answer => ({
  kind: "silence",
  reason,
  why,
  lease,
});
