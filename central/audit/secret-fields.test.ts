import assert from "node:assert/strict";
import { test } from "node:test";
import { services } from "../services.ts";
import { secretFieldsOf, struck } from "./secret-fields.ts";

test("these are all the secret fields of requests and answers: judge a new one before it is added here", () => {
  assert.deepEqual(secretFieldsOf(services), [
    "holdfast.api.v1.CreateJoinTokenResponse.join_string",
    "holdfast.join.v1.Credential.authorities",
    "holdfast.join.v1.Credential.certificate",
    "holdfast.join.v1.EnrolRequest.certificate_request",
    "holdfast.join.v1.EnrolRequest.secret",
    "holdfast.join.v1.RenewRequest.certificate_request",
    "holdfast.state.v1.AgentCertificate.certificate",
    "holdfast.state.v1.AgentCertificate.key_hash",
    "holdfast.sync.v1.DesiredItem.value",
    "holdfast.sync.v1.ReportEntry.value",
    "holdfast.sync.v1.SnapshotItems.items",
    "metalstack.admin.v2.MachineServiceConsolePasswordResponse.password",
    "metalstack.admin.v2.TaskInfo.payload",
    "metalstack.admin.v2.TaskInfo.result",
    "metalstack.admin.v2.TokenServiceCreateResponse.secret",
    "metalstack.admin.v2.VPNServiceAuthKeyResponse.auth_key",
    "metalstack.api.v2.MachineAllocation.userdata",
    "metalstack.api.v2.MachineBMC.password",
    "metalstack.api.v2.MachineServiceCreateRequest.userdata",
    "metalstack.api.v2.MachineVPN.auth_key",
    "metalstack.api.v2.ProjectInvite.secret",
    "metalstack.api.v2.ProjectServiceInviteAcceptRequest.secret",
    "metalstack.api.v2.ProjectServiceInviteDeleteRequest.secret",
    "metalstack.api.v2.ProjectServiceInviteGetRequest.secret",
    "metalstack.api.v2.TenantInvite.secret",
    "metalstack.api.v2.TenantServiceInviteAcceptRequest.secret",
    "metalstack.api.v2.TenantServiceInviteDeleteRequest.secret",
    "metalstack.api.v2.TenantServiceInviteGetRequest.secret",
    "metalstack.api.v2.TokenServiceCreateResponse.secret",
    "metalstack.api.v2.TokenServiceRefreshResponse.secret",
    "metalstack.infra.v2.BootServiceInstallationSucceededRequest.console_password",
    "metalstack.infra.v2.BootServiceSuperUserPasswordResponse.super_user_password",
  ]);
});

test("what looks like a secret is struck out of any text", () => {
  const table: readonly [string, string][] = [
    ["bearer eyJhbGciOiJFUzUxMiJ9.eyJzdWIiOiJhIn0.c2lnbmF0dXJl!", "bearer ***!"],
    ["https://ann:canary@example.com/a.tar", "https://***@example.com/a.tar"],
    ["holdfast-join-1.Y2FuYXJ5 is it", "*** is it"],
    ["-----BEGIN OPENSSH PRIVATE KEY-----\ncanary\n-----END OPENSSH PRIVATE KEY-----\nrest", "***\nrest"],
    ["-----BEGIN PRIVATE KEY-----\ncanary", "***"],
    ["ssh-ed25519 AAAAC3NzaC1lZDI1NTE5 ann", "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5 ann"],
  ];
  for (const [text, expected] of table) assert.equal(struck(text, 100), expected);
});

test("a long text is cut, and no character in two", () => {
  assert.equal(struck("abcdef", 3), "abc…");
  assert.equal(struck("ab😀", 3), "ab…");
});
