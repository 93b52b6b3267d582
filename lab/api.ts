import type { DescService } from "@bufbuild/protobuf";
import { type Client, Code, ConnectError, createClient, type Interceptor } from "@connectrpc/connect";
import { createConnectTransport } from "@connectrpc/connect-node";
import { BudgetService } from "#gen/holdfast/api/v1/budget_pb.ts";
import { MachineService as Progress } from "#gen/holdfast/api/v1/machine_pb.ts";
import { PartitionService as Joining } from "#gen/holdfast/api/v1/partition_pb.ts";
import { FilesystemService } from "#gen/metalstack/admin/v2/filesystem_pb.ts";
import { ImageService } from "#gen/metalstack/admin/v2/image_pb.ts";
import { NetworkService as AdminNetworks } from "#gen/metalstack/admin/v2/network_pb.ts";
import { PartitionService } from "#gen/metalstack/admin/v2/partition_pb.ts";
import { SizeService } from "#gen/metalstack/admin/v2/size_pb.ts";
import { TenantService } from "#gen/metalstack/admin/v2/tenant_pb.ts";
import { TokenService as AdminTokens } from "#gen/metalstack/admin/v2/token_pb.ts";
import { MachineService } from "#gen/metalstack/api/v2/machine_pb.ts";
import { NetworkService } from "#gen/metalstack/api/v2/network_pb.ts";
import { ProjectService } from "#gen/metalstack/api/v2/project_pb.ts";

/** The public API, as any client sees it. */
export interface Api {
  readonly tenants: Client<typeof TenantService>;
  readonly projects: Client<typeof ProjectService>;
  readonly partitions: Client<typeof PartitionService>;
  readonly sizes: Client<typeof SizeService>;
  readonly images: Client<typeof ImageService>;
  readonly filesystems: Client<typeof FilesystemService>;
  readonly adminNetworks: Client<typeof AdminNetworks>;
  readonly networks: Client<typeof NetworkService>;
  readonly machines: Client<typeof MachineService>;
  readonly progress: Client<typeof Progress>;
  /** What agents join by. */
  readonly joining: Client<typeof Joining>;
  readonly budgets: Client<typeof BudgetService>;
  readonly adminTokens: Client<typeof AdminTokens>;
}

const callTimeoutMs = 15_000;

/** @param caller the caller's bearer token, and the authority that central is known by, PEM */
export function openApi(url: string, { token, ca }: { readonly token: string; readonly ca: string }): Api {
  const withToken: Interceptor = (next) => (request) => {
    request.header.set("authorization", `Bearer ${token}`);
    return next(request);
  };
  const shared = { baseUrl: url, httpVersion: "1.1" as const, interceptors: [withToken], nodeOptions: { ca } };
  const calls = createConnectTransport({ ...shared, defaultTimeoutMs: callTimeoutMs });
  // A stream lasts as long as it is wanted.
  const streams = createConnectTransport(shared);
  return { ...apiOver((service) => createClient(service, calls)), progress: createClient(Progress, streams) };
}

/** The same API over whatever makes clients. */
export function apiOver(client: <S extends DescService>(service: S) => Client<S>): Api {
  return {
    tenants: client(TenantService),
    projects: client(ProjectService),
    partitions: client(PartitionService),
    sizes: client(SizeService),
    images: client(ImageService),
    filesystems: client(FilesystemService),
    adminNetworks: client(AdminNetworks),
    networks: client(NetworkService),
    machines: client(MachineService),
    progress: client(Progress),
    joining: client(Joining),
    budgets: client(BudgetService),
    adminTokens: client(AdminTokens),
  };
}

/** Gives undefined when the thing is there already: a lab that goes on finds what it made before. */
export async function unlessThere<T>(call: Promise<T>): Promise<T | undefined> {
  try {
    return await call;
  } catch (error) {
    if (error instanceof ConnectError && error.code === Code.AlreadyExists) return undefined;
    throw error;
  }
}
