import type { Timestamp } from "@bufbuild/protobuf/wkt";
import { type Client, createClient, type Transport } from "@connectrpc/connect";
import { type DutyResponse, InstallService, type PlanResponse } from "#gen/holdfast/install/v1/install_pb.ts";
import type { InstallStep } from "#gen/holdfast/state/v1/machine_pb.ts";
import type { MachineAllocation, MachineProvisioningEventType } from "#gen/metalstack/api/v2/machine_pb.ts";
import { BootService, type BootServiceRegisterRequest } from "#gen/metalstack/infra/v2/boot_pb.ts";
import { EventService } from "#gen/metalstack/infra/v2/event_pb.ts";
import { isRefused, type Persistence, persistently } from "./persistence.ts";
import { duration, timestamp } from "./time.ts";
import type { WipeEvidence } from "./wipe.ts";

/** An agent that does not answer is asked again; one that holds a connection and says nothing is left after this. */
const callMs = 10_000;
const waitAgainMs = 3_000;

/** The partition's agent as one machine sees it. Every call but `tryEvent` goes on until it is answered. */
export class Agent {
  readonly #boot: Client<typeof BootService>;
  readonly #events: Client<typeof EventService>;
  readonly #install: Client<typeof InstallService>;
  readonly #persistence: Persistence;
  readonly #uuid: string;

  constructor(transport: Transport, uuid: string, persistence: Persistence) {
    this.#boot = createClient(BootService, transport);
    this.#events = createClient(EventService, transport);
    this.#install = createClient(InstallService, transport);
    this.#persistence = persistence;
    this.#uuid = uuid;
  }

  async event(type: MachineProvisioningEventType, message = ""): Promise<void> {
    // The time is that of the event, not of the try that got through.
    const time = timestamp(this.#persistence.clock.wallMs());
    await this.#persist(() => this.#send(type, message, time));
  }

  /** Once; for news that the next one makes worthless. */
  async tryEvent(type: MachineProvisioningEventType, signal: AbortSignal): Promise<void> {
    await this.#send(type, "", timestamp(this.#persistence.clock.wallMs()), signal).catch(() => {});
  }

  async register(request: BootServiceRegisterRequest): Promise<void> {
    await this.#persist(() => this.#boot.register(request, { timeoutMs: callMs }));
  }

  async reportWipe(evidence: readonly WipeEvidence[]): Promise<void> {
    const disks = evidence.map((e) => ({
      device: e.disk.device,
      serial: e.disk.serial,
      sizeBytes: BigInt(e.disk.sizeBytes),
      method: e.method ?? "",
      took: duration(e.tookMs),
      error: e.error,
    }));
    await this.#persist(() => this.#install.reportWipe({ uuid: this.#uuid, disks }, { timeoutMs: callMs }));
  }

  async reportSteps(steps: InstallStep[]): Promise<void> {
    await this.#persist(() => this.#install.reportStep({ uuid: this.#uuid, steps }, { timeoutMs: callMs }));
  }

  /** Resolves with the allocation as soon as there is one. A message without one says that the agent is alive. */
  async wait(signal: AbortSignal): Promise<MachineAllocation> {
    for (;;) {
      try {
        for await (const { allocation } of this.#boot.wait({ uuid: this.#uuid }, { signal })) {
          if (allocation !== undefined) return allocation;
        }
      } catch (error) {
        if (isRefused(error)) throw error;
      }
      await this.#persistence.clock.sleep(waitAgainMs, signal);
    }
  }

  async duty(): Promise<DutyResponse["duty"]> {
    return (await this.#persist(() => this.#install.duty({ uuid: this.#uuid }, { timeoutMs: callMs }))).duty;
  }

  async beginOverwrite(number: number): Promise<void> {
    await this.#persist(() => this.#install.beginOverwrite({ uuid: this.#uuid, number }, { timeoutMs: callMs }));
  }

  plan(): Promise<PlanResponse> {
    return this.#persist(() => this.#install.plan({ uuid: this.#uuid }, { timeoutMs: callMs }));
  }

  async installationSucceeded(consolePassword: string): Promise<void> {
    await this.#persist(() =>
      this.#boot.installationSucceeded({ uuid: this.#uuid, consolePassword }, { timeoutMs: callMs }),
    );
  }

  async #send(
    event: MachineProvisioningEventType,
    message: string,
    time: Timestamp,
    signal?: AbortSignal,
  ): Promise<void> {
    const options = signal === undefined ? { timeoutMs: callMs } : { timeoutMs: callMs, signal };
    await this.#events.send({ events: { [this.#uuid]: { event, message, time } } }, options);
  }

  #persist<T>(call: () => Promise<T>): Promise<T> {
    return persistently(this.#persistence, call);
  }
}
