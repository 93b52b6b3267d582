import type { DescMessage, MessageShape } from "@bufbuild/protobuf";
import { StringValueSchema } from "@bufbuild/protobuf/wkt";
import { QuotaSchema } from "#gen/holdfast/api/v1/quota_pb.ts";
import { KeptAnswerSchema } from "#gen/holdfast/state/v1/answer_pb.ts";
import { BudgetSchema, BudgetUseSchema, SiteAccessSchema } from "#gen/holdfast/state/v1/budget_pb.ts";
import { ChangeHorizonSchema, ChangeSchema } from "#gen/holdfast/state/v1/change_pb.ts";
import { AgentLifeSchema, ReportCursorSchema } from "#gen/holdfast/state/v1/cursor_pb.ts";
import { AcceptedHistorySchema, HistoryHoldSchema } from "#gen/holdfast/state/v1/history_pb.ts";
import {
  AgentCertificateSchema,
  CertificateAuthoritySchema,
  JoinSecretSchema,
  JoinTokenSchema,
} from "#gen/holdfast/state/v1/join_pb.ts";
import { LedgerContradictionsSchema } from "#gen/holdfast/state/v1/ledger_pb.ts";
import { MachineDesiredSchema, MachineObservedSchema } from "#gen/holdfast/state/v1/machine_pb.ts";
import { BmcAccessSchema, ConsolePasswordSchema } from "#gen/holdfast/state/v1/secret_pb.ts";
import { SwitchDesiredSchema } from "#gen/holdfast/state/v1/switch_pb.ts";
import { SigningKeySchema, StoredTokenSchema } from "#gen/holdfast/state/v1/token_pb.ts";
import { AuditTraceSchema } from "#gen/metalstack/api/v2/audit_pb.ts";
import { ComponentSchema } from "#gen/metalstack/api/v2/component_pb.ts";
import { FilesystemLayoutSchema } from "#gen/metalstack/api/v2/filesystem_pb.ts";
import { ImageSchema } from "#gen/metalstack/api/v2/image_pb.ts";
import { IPSchema } from "#gen/metalstack/api/v2/ip_pb.ts";
import { NetworkSchema } from "#gen/metalstack/api/v2/network_pb.ts";
import { PartitionSchema } from "#gen/metalstack/api/v2/partition_pb.ts";
import { ProjectInviteSchema, ProjectMemberSchema, ProjectSchema } from "#gen/metalstack/api/v2/project_pb.ts";
import { SizeImageConstraintSchema } from "#gen/metalstack/api/v2/size_imageconstraint_pb.ts";
import { SizeSchema } from "#gen/metalstack/api/v2/size_pb.ts";
import { SizeReservationSchema } from "#gen/metalstack/api/v2/size_reservation_pb.ts";
import { SwitchSchema } from "#gen/metalstack/api/v2/switch_pb.ts";
import { TenantInviteSchema, TenantMemberSchema, TenantSchema } from "#gen/metalstack/api/v2/tenant_pb.ts";

/** One kind of thing in the store: its name (first part of the key) and its stored message. */
export interface Kind<S extends DescMessage = DescMessage> {
  readonly name: string;
  readonly schema: S;
}

export type Of<K extends Kind> = MessageShape<K["schema"]>;

const kind = <S extends DescMessage>(name: string, schema: S): Kind<S> => ({ name, schema });

/** Every kind that central stores. The id is the one that the public API uses, unless said otherwise. */
export const kinds = {
  tenant: kind("tenant", TenantSchema),
  /** id: tenant login/member's login */
  tenantMember: kind("tenant-member", TenantMemberSchema),
  project: kind("project", ProjectSchema),
  /** id: project uuid/member's login */
  projectMember: kind("project-member", ProjectMemberSchema),
  tenantInvite: kind("tenant-invite", TenantInviteSchema),
  projectInvite: kind("project-invite", ProjectInviteSchema),
  /** Only of projects that have limits. id: uuid of the project */
  quota: kind("quota", QuotaSchema),
  partition: kind("partition", PartitionSchema),
  size: kind("size", SizeSchema),
  /** id: the size's */
  sizeImageConstraint: kind("size-image-constraint", SizeImageConstraintSchema),
  sizeReservation: kind("size-reservation", SizeReservationSchema),
  image: kind("image", ImageSchema),
  filesystemLayout: kind("filesystem-layout", FilesystemLayoutSchema),
  network: kind("network", NetworkSchema),
  /** id: namespace (may be empty)/address in canonical text */
  ip: kind("ip", IPSchema),
  machineDesired: kind("machine", MachineDesiredSchema),
  machineObserved: kind("machine-observed", MachineObservedSchema),
  /** What is seen of it. */
  switch: kind("switch", SwitchSchema),
  /** What people want of it. */
  switchDesired: kind("switch-desired", SwitchDesiredSchema),
  /** id: uuid of the machine */
  consolePassword: kind("console-password", ConsolePasswordSchema),
  /** id: uuid of the machine */
  bmcAccess: kind("bmc-access", BmcAccessSchema),
  /** What calls have done. id: time in milliseconds/uuid of the call/phase */
  audit: kind("audit", AuditTraceSchema),
  /** What people on site have done. id: partition/uuid of the act/phase */
  siteAudit: kind("site-audit", AuditTraceSchema),
  /** Makes something unique that is no id, such as vrf/42. The value is the id of its holder. */
  claim: kind("claim", StringValueSchema),
  /** id: number of the type/identifier */
  component: kind("component", ComponentSchema),
  /** What commits changed of the kinds in `recorded`. id: time in milliseconds/uuid */
  change: kind("change", ChangeSchema),
  /** id: always 1 */
  changeHorizon: kind("change-horizon", ChangeHorizonSchema),
  /** Answers to calls with an idempotency key. id: SHA-256, in hex, of caller, method and key */
  keptAnswer: kind("kept-answer", KeptAnswerSchema),
  /** What partitions may give away by themselves. id: a uuid */
  budget: kind("budget", BudgetSchema),
  /** What agents last said that they use. id: the budget's */
  budgetUse: kind("budget-use", BudgetUseSchema),
  /** Who may do what in projects that have a budget. id: partition/project */
  siteAccess: kind("site-access", SiteAccessSchema),
  /** id: partition */
  acceptedHistory: kind("accepted-history", AcceptedHistorySchema),
  /** id: partition */
  historyHold: kind("history-hold", HistoryHoldSchema),
  /** Where this central told a partition's agent something else under a revision than before. id: partition */
  ledgerContradictions: kind("ledger-contradictions", LedgerContradictionsSchema),
  /** A running central; goes by itself when that does not renew it. The value is its version. */
  centralSession: kind("central-session", StringValueSchema),
  /** id: partition */
  agentLife: kind("agent-life", AgentLifeSchema),
  /** id: partition */
  reportCursor: kind("report-cursor", ReportCursorSchema),
  joinToken: kind("join-token", JoinTokenSchema),
  /** id: that of the join token */
  joinSecret: kind("join-secret", JoinSecretSchema),
  /** id: SHA-256 of the certificate in hex */
  agentCertificate: kind("agent-certificate", AgentCertificateSchema),
  /** id: always 1 */
  certificateAuthority: kind("certificate-authority", CertificateAuthoritySchema),
  token: kind("token", StoredTokenSchema),
  signingKey: kind("signing-key", SigningKeySchema),
} as const;

/** Key in the store. Nothing else builds keys. */
export const keyOf = (kind: Kind, id: string): string => `${kind.name}/${id}`;

/** Kinds whose changes are recorded: what people want. What is seen, tokens and all that holds secrets alone are not. */
export const recorded: ReadonlySet<string> = new Set(
  [
    kinds.tenant,
    kinds.tenantMember,
    kinds.project,
    kinds.projectMember,
    kinds.quota,
    kinds.partition,
    kinds.size,
    kinds.sizeImageConstraint,
    kinds.sizeReservation,
    kinds.image,
    kinds.filesystemLayout,
    kinds.network,
    kinds.ip,
    kinds.machineDesired,
    kinds.switchDesired,
    kinds.budget,
  ].map(({ name }) => name),
);
