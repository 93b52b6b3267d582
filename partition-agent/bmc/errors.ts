/** The base of all that goes wrong with one BMC. The text says which BMC, which command, and what to do. */
export class BmcError extends Error {
  /** `host:port` */
  readonly address: string;
  readonly command: string;

  constructor(address: string, command: string, text: string, cause?: unknown) {
    super(`BMC ${address}: ${command}: ${text}`, { cause });
    this.name = new.target.name;
    this.address = address;
    this.command = command;
  }
}

/** No answer in time. */
export class BmcUnreachable extends BmcError {
  /** The command was sent, is not safe to repeat, and may have been carried out: look before you ask again. */
  readonly maybeDone: boolean;

  constructor(address: string, command: string, detail: { readonly text: string; readonly maybeDone?: boolean }) {
    super(address, command, detail.text);
    this.maybeDone = detail.maybeDone ?? false;
  }
}

/** The BMC answered, and said no. */
export class BmcRefused extends BmcError {
  /** IPMI completion code, or RMCP+ status code while a session is being opened. */
  readonly completionCode: number;

  constructor(address: string, command: string, refusal: { readonly completionCode: number; readonly text: string }) {
    const code = `0x${refusal.completionCode.toString(16).padStart(2, "0")}`;
    super(address, command, `refused with ${code}: ${refusal.text}`);
    this.completionCode = refusal.completionCode;
  }
}

/** User or password is wrong. Do not repeat without a change: BMCs lock accounts. */
export class BadPassword extends BmcError {}

/** The BMC answered something that its specification does not allow. */
export class BmcMisbehaved extends BmcError {}
