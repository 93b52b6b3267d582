import { createReadStream, statSync } from "node:fs";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { connectNodeAdapter } from "@connectrpc/connect-node";
import {
  type DutyResponseSchema,
  InstallService,
  type PlanResponseSchema,
  type ReportWipeRequest,
} from "#gen/holdfast/install/v1/install_pb.ts";
import type { InstallStep } from "#gen/holdfast/state/v1/machine_pb.ts";
import { MachineAllocationSchema, type MachineProvisioningEventType } from "#gen/metalstack/api/v2/machine_pb.ts";
import { BootService, type BootServiceRegisterRequest } from "#gen/metalstack/infra/v2/boot_pb.ts";
import { EventService } from "#gen/metalstack/infra/v2/event_pb.ts";

/** What an installer said, in the order in which it was heard. */
export interface Heard {
  readonly what: string;
  readonly event?: MachineProvisioningEventType;
  readonly message?: string;
  readonly register?: BootServiceRegisterRequest;
  readonly wipe?: ReportWipeRequest;
  readonly step?: InstallStep;
}

export interface StubAgentOptions {
  readonly address?: string;
  readonly port?: number;
  /** File served under /image. */
  readonly image?: string;
  readonly allocation: MessageInitShape<typeof MachineAllocationSchema>;
  readonly plan: MessageInitShape<typeof PlanResponseSchema>;
  /** To wipe and wait, unless given. */
  readonly duty?: MessageInitShape<typeof DutyResponseSchema>["duty"];
  readonly onHeard?: (heard: Heard) => void;
  /** Asked before each request; true: the connection is dropped without an answer. */
  readonly drops?: (path: string) => boolean;
}

/** Just enough of an agent for one installer: it says yes to everything, allocates at once and remembers what it heard. */
export async function startStubAgent(options: StubAgentOptions) {
  const heard: Heard[] = [];
  const hear = (one: Heard) => {
    heard.push(one);
    options.onHeard?.(one);
  };
  const rpc = connectNodeAdapter({
    routes: (router) => {
      router.service(BootService, {
        register: (request) => {
          hear({ what: "register", register: request });
          return { uuid: request.uuid };
        },
        async *wait() {
          hear({ what: "wait" });
          yield {};
          yield { allocation: create(MachineAllocationSchema, options.allocation) };
        },
        installationSucceeded: () => {
          hear({ what: "succeeded" });
          return {};
        },
      });
      router.service(EventService, {
        send: ({ events }) => {
          for (const e of Object.values(events)) hear({ what: "event", event: e.event, message: e.message });
          return {};
        },
      });
      router.service(InstallService, {
        duty: () => {
          hear({ what: "duty" });
          return { duty: options.duty ?? { case: "wipe", value: {} } };
        },
        beginOverwrite: () => {
          hear({ what: "begin-overwrite" });
          return {};
        },
        plan: () => options.plan,
        reportStep: ({ steps }) => {
          for (const step of steps) hear({ what: "step", step });
          return {};
        },
        reportWipe: (wipe) => {
          hear({ what: "wipe", wipe });
          return {};
        },
      });
    },
  });
  const server = createServer((request, response) => {
    const path = (request.url ?? "").split("?")[0] ?? "";
    if (options.drops?.(path)) request.socket.destroy();
    else if (path === "/image") serveFile(request, response, options.image ?? "");
    else if (path === "/phone-home") {
      hear({ what: "phone-home" });
      response.end();
    } else rpc(request, response);
  });
  await new Promise<void>((resolve) => server.listen(options.port ?? 0, options.address ?? "127.0.0.1", resolve));
  const { port } = server.address() as AddressInfo;
  const stop = () =>
    new Promise<void>((resolve) => {
      server.closeAllConnections();
      server.close(() => resolve());
    });
  return { port, heard, stop };
}

function serveFile(request: IncomingMessage, response: ServerResponse, file: string): void {
  const size = statSync(file).size;
  const from = Number(/^bytes=(\d+)-/.exec(request.headers.range ?? "")?.[1] ?? 0);
  response.writeHead(from > 0 ? 206 : 200, { "content-length": size - from });
  createReadStream(file, { start: from, highWaterMark: 1 << 20 }).pipe(response);
}
