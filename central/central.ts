// Central without sockets, files and clocks of its own: every service over a state, and what runs beside them.
import type { Interceptor } from "@connectrpc/connect";
import { MachineService as HoldfastMachineService } from "#gen/holdfast/api/v1/machine_pb.ts";
import { PartitionService as HoldfastPartitionService } from "#gen/holdfast/api/v1/partition_pb.ts";
import { SyncService } from "#gen/holdfast/sync/v1/sync_pb.ts";
import { MachineService as AdminMachineService } from "#gen/metalstack/admin/v2/machine_pb.ts";
import { SwitchService as AdminSwitchService } from "#gen/metalstack/admin/v2/switch_pb.ts";
import type { AuditTrace } from "#gen/metalstack/api/v2/audit_pb.ts";
import { MachineService } from "#gen/metalstack/api/v2/machine_pb.ts";
import type { Version } from "#gen/metalstack/api/v2/version_pb.ts";
import { BMCService } from "#gen/metalstack/infra/v2/bmc_pb.ts";
import { BootService } from "#gen/metalstack/infra/v2/boot_pb.ts";
import { EventService } from "#gen/metalstack/infra/v2/event_pb.ts";
import { SwitchService as InfraSwitchService } from "#gen/metalstack/infra/v2/switch_pb.ts";
import type { Clock } from "#lib/clock.ts";
import { dayMs } from "#lib/durations.ts";
import type { Lifetime } from "#lib/lifetime.ts";
import type { Log } from "#lib/log.ts";
import type { Random } from "#lib/random.ts";
import { type Api, api } from "./api.ts";
import { auditHealth } from "./audit/health.ts";
import { Recorder } from "./audit/recorder.ts";
import { keepSiteTraces } from "./audit/site-traces.ts";
import { bmcService } from "./bmc/service.ts";
import { bootService } from "./boot/boot-service.ts";
import { eventService } from "./boot/event-service.ts";
import { keepLiveliness } from "./boot/keep-liveliness.ts";
import { BudgetKeeper } from "./budget/keeper.ts";
import { budgetService } from "./budget/service.ts";
import type { UrlProbe } from "./catalog/url.ts";
import { catalogServices } from "./catalog-services.ts";
import { keepChanges } from "./history/keep.ts";

import { historyService } from "./history/service.ts";
import type { Identity } from "./identity/identity.ts";
import { whoCalls } from "./identity/who-calls.ts";
import type { JoinPorts } from "./join/join-service.ts";
import { joinServices } from "./join/services.ts";
import { listService } from "./list/service.ts";
import { adminMachineService } from "./machine/admin-service.ts";
import { machineService } from "./machine/api-service.ts";
import { holdfastMachineService } from "./machine/holdfast-service.ts";
import { ipamHealth } from "./network/health.ts";
import { holdfastPartitionService } from "./partition/holdfast-service.ts";
import { planService } from "./plan/service.ts";
import type { RateLimit } from "./rate/rate-limit.ts";
import { type Implementation, implement } from "./services.ts";
import { storeHealth } from "./store/health.ts";
import type { Retention } from "./store/retention.ts";
import type { State } from "./store/state.ts";
import { adminSwitchService } from "./switch/admin-service.ts";
import { infraSwitchService } from "./switch/infra-service.ts";
import { CentralSession } from "./sync/central-session.ts";
import { Connections } from "./sync/connections.ts";
import { SyncFeed } from "./sync/feed.ts";
import { machinesHealth } from "./sync/health.ts";
import { syncService } from "./sync/service.ts";
import { takers } from "./sync/take-entry.ts";
import { endBrokenOff } from "./task/deletion.ts";
import { tasksHealth } from "./task/health.ts";
import { WatchFeed } from "./watch/feed.ts";
import { watchService } from "./watch/service.ts";

export interface CentralPorts {
  readonly state: State;
  readonly identity: Identity;
  /** Login of the tenant whose members run the installation. */
  readonly provider: string;
  readonly version: Pick<Version, "version" | "revision" | "gitSha1" | "buildDate">;
  /** Absent: agents come with tokens only. */
  readonly join?: JoinPorts;
  /** Absent: calls are not written down. */
  readonly audit?: { readonly retention: Retention; readonly tell?: (trace: AuditTrace) => void };
  /** How long changes are kept; 30 days and 64 MB unless given. */
  readonly history?: Retention;
  /** Absent: anybody may call as often as they like. */
  readonly rateLimit?: RateLimit;
  /** Absent: URLs are taken as they are. */
  readonly probeUrl?: UrlProbe;
  /** For those who make many: it takes a moment and can be shared. */
  readonly validate?: Interceptor;
  readonly lifetime: Lifetime;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
}

const historyRetention: Retention = { keepMs: 30 * dayMs, bytesMax: 64_000_000 };

export function composeCentral(given: CentralPorts): Api {
  const { state, version, lifetime, validate, join, clock, log } = given;
  const recorder = given.audit && new Recorder({ ...given.audit, state, clock, log });
  if (recorder) {
    lifetime.own("audit", recorder.run(lifetime.signal));
    // Stops run backwards: this one when the port has closed, and before the state is.
    lifetime.onStop("audit-rest", () => recorder.finish());
  }
  lifetime.own("budgets", new BudgetKeeper(given).run(lifetime.signal));
  lifetime.own("history", keepChanges(given, given.history ?? historyRetention, lifetime.signal));
  lifetime.own("site-traces", keepSiteTraces(given, lifetime.signal));
  lifetime.own("liveliness", keepLiveliness(given, lifetime.signal));
  const session = new CentralSession({ ...given, version: version.version });
  const connections = new Connections(clock, log);
  const feed = new SyncFeed(state, clock);
  lifetime.own("sync-feed", feed.run(lifetime.signal));
  const watchFeed = new WatchFeed(state);
  lifetime.own("watch-feed", watchFeed.run(lifetime.signal));
  lifetime.own("broken-off-deletions", endBrokenOff(given, lifetime.signal));
  const ports = { ...given, connections, session, feed, watchFeed, whoCalls: whoCalls(given) };
  const implementations: Implementation[] = [
    ...catalogServices({
      ...ports,
      version,
      health: () => [
        storeHealth(state),
        machinesHealth(state, connections),
        ipamHealth(state),
        tasksHealth(state, clock.wallMs()),
        ...(recorder ? [auditHealth(recorder)] : []),
      ],
    }),
    budgetService(ports),
    implement(MachineService, machineService(ports)),
    implement(AdminMachineService, adminMachineService(ports)),
    implement(HoldfastMachineService, holdfastMachineService(ports)),
    implement(HoldfastPartitionService, holdfastPartitionService(ports)),
    historyService(state),
    listService(state),
    watchService(ports),
    implement(AdminSwitchService, adminSwitchService(ports)),
    implement(SyncService, syncService({ ...ports, takers })),
    ...(join ? joinServices({ ...given, ...join }) : []),
    implement(BootService, bootService(ports)),
    implement(EventService, eventService(ports)),
    implement(InfraSwitchService, infraSwitchService(ports)),
    implement(BMCService, bmcService(ports)),
  ];
  return api({
    ...ports,
    recorder,
    implementations: [...implementations, planService(given, implementations)],
    serving: () => (state.away === undefined ? "serving" : "not-serving"),
    ...(validate && { validate }),
  });
}
