/**
 * What a completion code means, in words for an operator.
 * @param own meanings of the codes 0x80 to 0xbe, which each command has for itself
 * @source IPMI 2.0 §5.2 table 5-2
 */
export const completionText = (code: number, own: Readonly<Record<number, string>> = {}): string =>
  own[code] ?? completionTexts[code] ?? "a reason that only its maker knows";

export const completion = { ok: 0x00, busy: 0xc0, unknownCommand: 0xc1, duplicate: 0xcf, wrongState: 0xd5 } as const;

const completionTexts: Readonly<Record<number, string>> = {
  192: "node busy",
  193: "command not known",
  194: "command not valid for this logical unit",
  195: "time-out inside the BMC",
  196: "out of space",
  197: "reservation lost",
  198: "request cut short",
  199: "wrong length of request",
  200: "length of a field exceeds its limit",
  201: "parameter out of range",
  202: "cannot return so many bytes",
  203: "sensor or record not present",
  204: "invalid field in the request",
  205: "command not allowed for this sensor or record",
  206: "no response could be given",
  207: "duplicate of a request that it already works on",
  208: "sensor repository is being updated",
  209: "firmware is being updated",
  210: "BMC is starting",
  211: "destination not available",
  212: "privilege too low",
  213: "not possible in its present state",
  214: "function switched off or not there",
  255: "no reason given",
};

export const rmcpStatus = {
  tableFull: 0x01,
  unknownSession: 0x02,
  wrongCode: 0x0f,
  unknownUser: 0x0d,
} as const;

/** The BMC has none of the proposed algorithms, or not together. */
export const refusesCipher = (status: number): boolean => [0x04, 0x05, 0x10, 0x11].includes(status);

/**
 * Why a step of the handshake was refused.
 * @source IPMI 2.0 §13.24 table 13-15
 */
export const rmcpStatusText = (status: number): string => rmcpStatusTexts[status] ?? `status ${status}`;

const rmcpStatusTexts: Readonly<Record<number, string>> = {
  1: "its session table is full: it frees idle sessions after about 60 s; close other tools' sessions or restart the BMC",
  2: "it does not know the session",
  3: "payload type not known",
  4: "authentication algorithm not known",
  5: "integrity algorithm not known",
  6: "no match for the authentication",
  7: "no match for the integrity",
  8: "session not active",
  9: "role not valid",
  10: "the user must not have this privilege on this channel",
  11: "too few resources for the role",
  12: "name of wrong length",
  13: "user name not known",
  14: "GUID not known",
  15: "the check value does not fit",
  16: "confidentiality algorithm not known",
  17: "it has no such cipher suite",
  18: "parameter not valid",
};
