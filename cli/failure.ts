import { Code, ConnectError } from "@connectrpc/connect";
import { ViolationsSchema } from "#gen/buf/validate/validate_pb.ts";
import { BadRequestSchema, ErrorInfoSchema } from "#gen/google/rpc/error_details_pb.ts";
import { printable } from "./view/table.ts";

/** 1 refused or failed, 2 wrong usage, 3 no server answers, 130 interrupted. */
export type ExitCode = 1 | 2 | 3 | 130;

/** An end of the program that the user can act on: its text is the one line that they see. */
export class Failure extends Error {
  readonly exitCode: ExitCode;

  constructor(message: string, exitCode: ExitCode = 1) {
    super(message);
    this.name = "Failure";
    this.exitCode = exitCode;
  }
}

/** What a user can do about a server that is not reached, or does not let them in. */
export interface Advice {
  readonly unreachable: string;
  readonly untrusted: string;
  readonly token: string;
  readonly denied: string;
}

const usualAdvice = (server: string): Advice => ({
  unreachable: "is it running? Another one: --server URL, HOLDFAST_SERVER or holdfast login",
  untrusted: "--ca FILE",
  token: `holdfast login --server ${server} --token-file FILE, or set HOLDFAST_TOKEN`,
  denied: "--project names the project to act in, --admin acts as administrator",
});

/** @returns the failure with the line for people; programming errors come back as they are */
export function explain(error: unknown, server: string, advice = usualAdvice(server)): unknown {
  if (error instanceof Failure || !(error instanceof ConnectError)) return error;
  const said = printable(error.rawMessage) || "no reason given";
  switch (error.code) {
    case Code.Unavailable:
    case Code.Unknown:
    case Code.Internal:
      return unreachable(error, server, advice) ?? new Failure(`${server}: ${said}${reasonText(error)}`);
    case Code.Unauthenticated:
      return new Failure(`${server} does not take the token (${said}): ${advice.token}`);
    case Code.PermissionDenied:
      return new Failure(`not allowed: ${said}${reasonText(error)}; ${advice.denied}`);
    case Code.InvalidArgument:
      return new Failure(`refused: ${violations(error) || said}${reasonText(error)}`);
    case Code.Unimplemented:
      return new Failure(`${server} does not offer this (${said})${reasonText(error)}`);
    case Code.DeadlineExceeded:
      return new Failure(`${server} gave no answer in time`, 3);
    case Code.Canceled:
      return new Failure("interrupted", 130);
    default:
      return new Failure(`${codeText(error.code)}: ${said}${reasonText(error)}`);
  }
}

const codeText = (code: Code): string => Code[code].replace(/(?<=[a-z])(?=[A-Z])/g, " ").toLowerCase();

const networkErrors: Readonly<Record<string, string>> = {
  EACCES: "this user may not open it",
  ECONNREFUSED: "nothing listens there",
  ECONNRESET: "the connection was cut",
  EHOSTUNREACH: "there is no way to this host",
  ENETUNREACH: "there is no way to this network",
  ENOENT: "it does not exist",
  ENOTFOUND: "the name is not known",
  EAI_AGAIN: "the name cannot be looked up now",
  ETIMEDOUT: "no answer",
  EPIPE: "the connection was cut",
};
const trustErrors = /CERT|SIGNATURE|ISSUER|ALTNAME/;

function unreachable(error: ConnectError, server: string, advice: Advice): Failure | undefined {
  const code = systemCode(error.cause) ?? "";
  if (trustErrors.test(code))
    return new Failure(`${server} shows a certificate that is not trusted (${code}): ${advice.untrusted}`, 3);
  const why = networkErrors[code];
  if (why === undefined) return undefined;
  return new Failure(`cannot reach ${server} (${why}): ${advice.unreachable}`, 3);
}

/** The system's word for what went wrong, somewhere in the chain of causes. */
function systemCode(error: unknown, depthMax = 5): string | undefined {
  if (!(error instanceof Error) || depthMax === 0) return undefined;
  if (
    "code" in error &&
    typeof error.code === "string" &&
    (error.code in networkErrors || trustErrors.test(error.code))
  ) {
    return error.code;
  }
  const inner = error instanceof AggregateError ? error.errors[0] : error.cause;
  return systemCode(inner, depthMax - 1);
}

/** Whether trying again later may help: the server is away, or the connection was cut. */
export function isPassing(error: unknown): boolean {
  if (!(error instanceof ConnectError)) return false;
  return (
    error.code === Code.Unavailable || error.code === Code.DeadlineExceeded || systemCode(error.cause) !== undefined
  );
}

/** Every field that was refused: by the rules of the contract, or by the server itself. */
function violations(error: ConnectError): string {
  const byRule = error
    .findDetails(ViolationsSchema)
    .flatMap((v) => v.violations)
    .map((v) => [v.field?.elements.map((e) => e.fieldName).join(".") ?? "", v.message]);
  const byServer = error
    .findDetails(BadRequestSchema)
    .flatMap((b) => b.fieldViolations)
    .map((v) => [v.field, v.description]);
  return [...byRule, ...byServer].map(([path, why]) => printable(path ? `${path}: ${why}` : `${why}`)).join("; ");
}

/** ` (MACHINE_LOCKED)` when the server attached the stable word that programs go by. */
function reasonText(error: ConnectError): string {
  const reason = error.findDetails(ErrorInfoSchema)[0]?.reason;
  return reason ? ` (${printable(reason)})` : "";
}
