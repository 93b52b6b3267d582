import { type Client, ConnectError } from "@connectrpc/connect";
import { kinds } from "#central/store/kinds.ts";
import { parseJoinString } from "#domain/join/join-string.ts";
import { PartitionService } from "#gen/holdfast/api/v1/partition_pb.ts";
import { checked } from "#lib/result.ts";
import type { Seeded } from "#lib/seeded.ts";
import type { Datacenter } from "./datacenter.ts";
import type { World } from "./world.ts";

const callMs = 15_000;
/** What an agent or central says when only a new join token helps. */
const wantsToken = /new join token|join-token create|: make a new one/;

/** An administrator who lets agents in: gives a join token to each that says that it wants one, and now and then shuts one out. */
export class Doorkeeper {
  readonly #world: World;
  readonly #random: Seeded;
  readonly #partitions: Client<typeof PartitionService>;

  constructor(world: World) {
    this.#world = world;
    this.#random = world.random.branch("doorkeeper");
    this.#partitions = world.asAdmin(PartitionService);
  }

  /** Until the signal they also revoke; they look after the agents as long as the run lasts. */
  async run(pauseMs: readonly [number, number], revoking: AbortSignal): Promise<never> {
    for (;;) {
      await this.#world.outside.after(this.#random.between(...pauseMs));
      const at = this.#random.pick(this.#world.datacenters);
      try {
        if (this.#isLockedOut(at)) await this.letIn(at);
        else if (!revoking.aborted && this.#random.chance(0.1)) await this.shutOut(at);
      } catch (error) {
        if (!(error instanceof ConnectError)) throw error;
        this.#world.trace.say(`doorkeeper is refused: ${error.message.slice(0, 160)}`);
      }
    }
  }

  async letIn(at: Datacenter): Promise<void> {
    const { partition } = at;
    const wanted = { partition, endpoint: "https://central:8443" };
    at.joinText = (await this.#partitions.createJoinToken(wanted, { timeoutMs: callMs })).joinString;
    this.#world.trace.say(`a join token for ${partition} is in its agent's file`);
  }

  async shutOut({ partition }: Datacenter): Promise<void> {
    await this.#partitions.revokeAgentCertificates({ partition }, { timeoutMs: callMs });
    this.#world.trace.say(`the certificates of ${partition} were revoked`);
  }

  #isLockedOut({ agent: { agent }, joinText }: Datacenter): boolean {
    if (!agent || agent.link.state.phase === "following") return false;
    const said = `${agent.onSite.certificate()?.problem} ${agent.link.state.lastError}`;
    if (!wantsToken.test(said)) return false;
    const { token } = checked(parseJoinString(joinText));
    const given = this.#world.truth.get(kinds.joinToken, token)?.value;
    // One that was given and not used yet needs no other.
    return given === undefined || given.use !== undefined;
  }
}
