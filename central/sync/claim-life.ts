// One agent acts for a partition, whatever central it is connected to: its life is claimed in the store that they share.
import { create, equals } from "@bufbuild/protobuf";
import { AgentLifeSchema } from "#gen/holdfast/state/v1/cursor_pb.ts";
import type { FollowRequest } from "#gen/holdfast/sync/v1/sync_pb.ts";
import type { Log } from "#lib/log.ts";
import { Refusal } from "#lib/refusal.ts";
import { kinds } from "../store/kinds.ts";
import type { State } from "../store/state.ts";
import type { Tx } from "../store/tx.ts";
import type { CentralSession } from "./central-session.ts";

/** How often a stream makes sure of its claim. */
export const checkEveryMs = 10_000;

/** @throws Refusal "precondition" that names the life which is connected already */
export const alreadyLive = (partition: string, present: string): Refusal =>
  new Refusal(
    "precondition",
    `partition ${partition}: another agent is connected under this identity (life ${present}): stop one of them`,
    { reason: "AGENT_ALREADY_LIVE" },
  );

export interface ClaimPorts {
  readonly state: State;
  readonly session: CentralSession;
  readonly log: Log;
}

/**
 * As `Connections` sees to it for this central, for all that share the store: what two lives report would mix.
 * @param agent empty: it does not say which it is
 * @throws Refusal "precondition" while another life is connected to another central
 */
export function checkLife(read: Pick<Tx, "get">, partition: string, agent: string): void {
  const present = read.get(kinds.agentLife, partition);
  if (!present || agent === "" || present.agent === agent) return;
  if (read.get(kinds.centralSession, present.session)) throw alreadyLive(partition, present.agent);
}

/** One stream's claim on its partition. */
export class LifeClaim {
  readonly #ports: ClaimPorts;
  readonly #partition: string;
  readonly #agent: string;
  readonly #stream: string;
  #claiming: Promise<boolean> = Promise.resolve(false);

  /** @param stream unique among all streams of all centrals */
  constructor(ports: ClaimPorts, { partition, agent }: Pick<FollowRequest, "partition" | "agent">, stream: string) {
    this.#ports = ports;
    this.#partition = partition;
    this.#agent = agent;
    this.#stream = stream;
  }

  /**
   * Claims the partition for this life of its agent, or makes sure of it. A store that cannot be asked refuses nobody: an agent may be let in
   * beside another one then, rather than none at all.
   * @returns whether the claim is stored, and so all that was stored before it is read here
   * @throws Refusal "precondition" while another life has it, "conflict" when it cannot be told who has
   */
  claim(): Promise<boolean> {
    this.#claiming = this.#claim();
    return this.#claiming;
  }

  async #claim(): Promise<boolean> {
    const [partition, agent, stream] = [this.#partition, this.#agent, this.#stream];
    const { state, session, log } = this.#ports;
    try {
      await session.hold();
      const mine = create(AgentLifeSchema, { agent, stream, session: session.id });
      const known = state.get(kinds.agentLife, partition)?.value;
      if (known && equals(AgentLifeSchema, known, mine)) return true;
      await state.transact((tx) => {
        const present = tx.get(kinds.agentLife, partition);
        // Here no other life is connected: whoever claims has been let in (connections.ts). What a stream of this central could not give
        // back when it ended, or what a restored store brought back, is void.
        const isElsewhere = present !== undefined && present.session !== session.id;
        if (isElsewhere && present.agent !== agent && tx.get(kinds.centralSession, present.session))
          throw alreadyLive(partition, present.agent);
        tx.put(kinds.agentLife, partition, mine);
      });
      return true;
    } catch (error) {
      if (error instanceof Refusal && error.code === "unavailable") {
        log.warn("agent-not-claimed", { partition, agent, error });
        return false;
      }
      log.warn("agent-refused", { partition, agent, error });
      throw error;
    }
  }

  /** Gives it back, unless another stream has it. What fails is made up for by the next claim here, and by time elsewhere. */
  leave(): void {
    const { state, log } = this.#ports;
    const gaveBack = async () => {
      await this.#claiming.catch(() => {});
      await state.transact((tx) => {
        if (tx.get(kinds.agentLife, this.#partition)?.stream === this.#stream)
          tx.delete(kinds.agentLife, this.#partition);
      });
    };
    gaveBack().catch((error: unknown) => log.debug("agent-claim-stays", { partition: this.#partition, error }));
  }
}
