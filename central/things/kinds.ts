// Every kind of thing that the API shows: of what it is made, whose it is, and which calls show it to whom.
import type { DescMethod, Message } from "@bufbuild/protobuf";
import { wantedSwitch } from "#domain/switch/compose.ts";
import { BudgetService } from "#gen/holdfast/api/v1/budget_pb.ts";
import { QuotaService } from "#gen/holdfast/api/v1/quota_pb.ts";
import type { Thing } from "#gen/holdfast/api/v1/thing_pb.ts";
import { ComponentService as AdminComponentService } from "#gen/metalstack/admin/v2/component_pb.ts";
import { IPService as AdminIPService } from "#gen/metalstack/admin/v2/ip_pb.ts";
import { MachineService as AdminMachineService } from "#gen/metalstack/admin/v2/machine_pb.ts";
import { NetworkService as AdminNetworkService } from "#gen/metalstack/admin/v2/network_pb.ts";
import { ProjectService as AdminProjectService } from "#gen/metalstack/admin/v2/project_pb.ts";
import { SizeImageConstraintService as AdminSizeImageConstraintService } from "#gen/metalstack/admin/v2/size_imageconstraint_pb.ts";
import { SizeReservationService as AdminSizeReservationService } from "#gen/metalstack/admin/v2/size_reservation_pb.ts";
import { SwitchService as AdminSwitchService } from "#gen/metalstack/admin/v2/switch_pb.ts";
import { TenantService as AdminTenantService } from "#gen/metalstack/admin/v2/tenant_pb.ts";
import { TokenService as AdminTokenService } from "#gen/metalstack/admin/v2/token_pb.ts";
import type { Meta } from "#gen/metalstack/api/v2/common_pb.ts";
import { FilesystemService } from "#gen/metalstack/api/v2/filesystem_pb.ts";
import { ImageService } from "#gen/metalstack/api/v2/image_pb.ts";
import { IPService } from "#gen/metalstack/api/v2/ip_pb.ts";
import { MachineAllocationSchema, MachineService } from "#gen/metalstack/api/v2/machine_pb.ts";
import { NetworkService } from "#gen/metalstack/api/v2/network_pb.ts";
import { PartitionService } from "#gen/metalstack/api/v2/partition_pb.ts";
import { ProjectService } from "#gen/metalstack/api/v2/project_pb.ts";
import { SizeService } from "#gen/metalstack/api/v2/size_pb.ts";
import { SizeReservationService } from "#gen/metalstack/api/v2/size_reservation_pb.ts";
import { TenantService } from "#gen/metalstack/api/v2/tenant_pb.ts";
import { TokenService } from "#gen/metalstack/api/v2/token_pb.ts";
import { methodName } from "../access/rule.ts";
import { membershipOf } from "../identity/membership.ts";
import { ipIndexes } from "../ip/indexes.ts";
import { machineIndexes } from "../machine/indexes.ts";
import { apiMachine } from "../machine/views.ts";
import { isBase, networkView } from "../network/view.ts";
import type { Index } from "../store/cache.ts";
import { type Kind, kinds, type Of } from "../store/kinds.ts";
import type { State } from "../store/state.ts";
import { switchOf } from "../switch/views.ts";
import { withoutSecrets } from "./without-secrets.ts";

/** Whose a thing is; empty where it is nobody's. */
export interface About {
  readonly project: string;
  readonly tenant: string;
  readonly user: string;
  /** Every project may build upon it. */
  readonly isBase: boolean;
}

/** A call that shows a thing to those who may make it. */
export interface Reading {
  readonly method: string;
  /** What the call has to be about: the thing's project, its tenant, its owner, or the project that is asked for. */
  readonly by: "project" | "tenant" | "user" | "asking project" | "anybody";
}

export interface ThingKind {
  readonly name: string;
  /** Says which there are, and whose they are. */
  readonly kind: Kind;
  /** What it is made of beside that, under the same id. */
  readonly halves: readonly Kind[];
  readonly readings: readonly Reading[];
  /** Whether things of this kind are somebody's: images are not, machines are, even those that nobody has at the moment. */
  readonly isOwned: boolean;
  /** Where there is an index of those that belong to a project. */
  readonly byProject: ((state: State) => Index) | undefined;
  about(value: Message, id: string): About;
  /** Whether its labels hang on its own value alone, not on its halves. */
  readonly isLabelledItself: boolean;
  labels(state: State, value: Message, id: string): Readonly<Record<string, string>>;
  /**
   * Undefined where the API shows nothing of it. Nothing secret is in it.
   * @param project that is asked for; empty: all of them
   */
  show(state: State, value: Message, id: string, project: string): Thing["value"] | undefined;
  /** What is recorded of it when it changes; undefined: nothing. */
  readonly past: PastKind | undefined;
}

/** A thing as it was: what people wanted of it. */
export interface PastKind {
  readonly kind: Kind;
  /** Of a former value without secrets. */
  show(state: State, value: Message, id: string): Thing["value"];
}

interface Given<K extends Kind> {
  readonly halves?: readonly Kind[];
  readonly readings: readonly Reading[];
  readonly about?: (value: Of<K>, id: string) => Partial<About>;
  readonly byProject?: (state: State) => Index<K>;
  readonly labels?: (value: Of<K>) => readonly (Meta | undefined)[];
  /** Where labels are kept beside the value, and count instead of its own. */
  readonly labelsBeside?: (state: State, id: string) => Meta | undefined;
  readonly show: (value: Of<K>, state: State, id: string, project: string) => Thing["value"] | undefined;
  readonly past: PastKind | undefined;
}

/** A kind whose stored values are shown. */
const stored = <K extends Kind>(kind: K, show: (value: Of<K>) => Thing["value"]): Pick<Given<K>, "show" | "past"> => ({
  show,
  past: past(kind, show),
});

const past = <K extends Kind>(kind: K, show: (value: Of<K>, state: State) => Thing["value"]): PastKind => ({
  kind,
  show: (state, value) => show(value as Of<K>, state), // a thing kind is only ever given its own kind's values
});

const nobodys: About = { project: "", tenant: "", user: "", isBase: false };

// A thing kind is only ever given its own kind's values.
const thing = <K extends Kind>(name: string, kind: K, given: Given<K>): ThingKind => ({
  name,
  kind,
  halves: given.halves ?? [],
  readings: given.readings,
  isOwned: given.about !== undefined,
  byProject: given.byProject as ThingKind["byProject"],
  about: (value, id) => ({ ...nobodys, ...given.about?.(value as Of<K>, id) }),
  isLabelledItself: given.labelsBeside === undefined,
  labels: (state, value, id) => {
    const own = given.labels?.(value as Of<K>) ?? [(value as { readonly meta?: Meta }).meta];
    const beside = given.labelsBeside?.(state, id);
    const metas = beside ? [beside] : own;
    return Object.assign({}, ...metas.map((meta) => meta?.labels?.labels));
  },
  show: (state, value, id, project) => given.show(value as Of<K>, state, id, project),
  past: given.past,
});

const to = (by: Reading["by"], method: DescMethod): Reading => ({ method: methodName(method), by });

const { get: getProject } = ProjectService.method;
const { get: getTenant } = TenantService.method;

export const thingKinds: readonly ThingKind[] = [
  thing("machine", kinds.machineDesired, {
    halves: [kinds.machineObserved],
    readings: [to("project", MachineService.method.get), to("anybody", AdminMachineService.method.get)],
    about: ({ allocation }) => ({ project: allocation?.project ?? "" }),
    byProject: (state) => machineIndexes(state).byProject,
    labels: ({ meta, allocation }) => [meta, allocation?.meta],
    show: (desired, state, id) => {
      const machine = apiMachine(state, { desired, observed: state.get(kinds.machineObserved, id)?.value });
      const allocation = machine.allocation && withoutSecrets(MachineAllocationSchema, machine.allocation);
      return { case: "machine", value: { ...machine, ...(allocation && { allocation }) } };
    },
    past: past(kinds.machineDesired, (desired, state) => {
      return { case: "machine", value: apiMachine(state, { desired, observed: undefined }) };
    }),
  }),
  thing("network", kinds.network, {
    readings: [
      to("project", NetworkService.method.get),
      to("asking project", NetworkService.method.listBaseNetworks),
      to("anybody", AdminNetworkService.method.get),
    ],
    about: (network) => ({ project: network.project ?? "", isBase: isBase(network) }),
    show: (network, state, _, project) => ({ case: "network", value: networkView(state)(network, project) }),
    past: past(kinds.network, (value) => ({ case: "network", value })),
  }),
  thing("ip", kinds.ip, {
    readings: [to("project", IPService.method.get), to("anybody", AdminIPService.method.list)],
    about: ({ project }) => ({ project }),
    byProject: (state) => ipIndexes(state).byProject,
    ...stored(kinds.ip, (value) => ({ case: "ip", value })),
  }),
  thing("image", kinds.image, {
    readings: [to("anybody", ImageService.method.get)],
    ...stored(kinds.image, (value) => ({ case: "image", value })),
  }),
  thing("size", kinds.size, {
    readings: [to("anybody", SizeService.method.get)],
    ...stored(kinds.size, (value) => ({ case: "size", value })),
  }),
  thing("size-image-constraint", kinds.sizeImageConstraint, {
    readings: [to("anybody", AdminSizeImageConstraintService.method.get)],
    ...stored(kinds.sizeImageConstraint, (value) => ({ case: "sizeImageConstraint", value })),
  }),
  thing("size-reservation", kinds.sizeReservation, {
    readings: [
      to("project", SizeReservationService.method.get),
      to("anybody", AdminSizeReservationService.method.list),
    ],
    about: ({ project }) => ({ project }),
    ...stored(kinds.sizeReservation, (value) => ({ case: "sizeReservation", value })),
  }),
  thing("filesystem-layout", kinds.filesystemLayout, {
    readings: [to("anybody", FilesystemService.method.get)],
    ...stored(kinds.filesystemLayout, (value) => ({ case: "filesystemLayout", value })),
  }),
  thing("partition", kinds.partition, {
    readings: [to("anybody", PartitionService.method.get)],
    ...stored(kinds.partition, (value) => ({ case: "partition", value })),
  }),
  thing("switch", kinds.switch, {
    halves: [kinds.switchDesired],
    readings: [to("anybody", AdminSwitchService.method.get)],
    labelsBeside: (state, id) => state.get(kinds.switchDesired, id)?.value.meta,
    show: (_, state, id) => {
      const value = switchOf(state, id);
      return value && { case: "switch", value };
    },
    past: past(kinds.switchDesired, (desired) => ({ case: "switch", value: wantedSwitch(desired) })),
  }),
  thing("project", kinds.project, {
    readings: [to("project", getProject), to("anybody", AdminProjectService.method.list)],
    about: ({ uuid, tenant }) => ({ project: uuid, tenant }),
    ...stored(kinds.project, (value) => ({ case: "project", value })),
  }),
  thing("project-member", kinds.projectMember, {
    readings: [to("project", getProject)],
    about: (_, id) => ({ project: membershipOf(id).of }),
    ...stored(kinds.projectMember, (value) => ({ case: "projectMember", value })),
  }),
  thing("tenant", kinds.tenant, {
    readings: [to("tenant", getTenant), to("anybody", AdminTenantService.method.list)],
    about: ({ login }) => ({ tenant: login }),
    ...stored(kinds.tenant, (value) => ({ case: "tenant", value })),
  }),
  thing("tenant-member", kinds.tenantMember, {
    readings: [to("tenant", getTenant)],
    about: (_, id) => ({ tenant: membershipOf(id).of }),
    ...stored(kinds.tenantMember, (value) => ({ case: "tenantMember", value })),
  }),
  thing("token", kinds.token, {
    readings: [to("user", TokenService.method.get), to("anybody", AdminTokenService.method.list)],
    about: ({ token }) => ({ user: token?.user ?? "" }),
    labels: ({ token }) => [token?.meta],
    show: ({ token, revoked }) => (token === undefined || revoked ? undefined : { case: "token", value: token }),
    past: undefined,
  }),
  thing("component", kinds.component, {
    readings: [to("anybody", AdminComponentService.method.get)],
    show: (value) => ({ case: "component", value }),
    past: undefined,
  }),
  thing("quota", kinds.quota, {
    readings: [to("project", QuotaService.method.get)],
    about: ({ project }) => ({ project }),
    ...stored(kinds.quota, (value) => ({ case: "quota", value })),
  }),
  thing("budget", kinds.budget, {
    readings: [to("anybody", BudgetService.method.list)],
    about: ({ project }) => ({ project }),
    ...stored(kinds.budget, (value) => ({ case: "budget", value })),
  }),
];

/** Calls that show a project or a tenant itself: who may make one of them may ask for what is of it. */
export const projectReadings: readonly Reading[] = [
  to("project", getProject),
  to("anybody", AdminProjectService.method.list),
];
export const tenantReadings: readonly Reading[] = [
  to("tenant", getTenant),
  to("anybody", AdminTenantService.method.list),
];
