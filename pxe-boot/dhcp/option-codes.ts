/** DHCP option codes that this server reads or writes. @source RFC 2132 unless said */
export const optionCode = {
  pad: 0,
  subnetMask: 1,
  router: 3,
  dnsServer: 6,
  hostname: 12,
  domainName: 15,
  interfaceMtu: 26,
  ntpServer: 42,
  vendorSpecific: 43,
  requestedAddress: 50,
  leaseSeconds: 51,
  overload: 52,
  messageType: 53,
  serverId: 54,
  parameterList: 55,
  message: 56,
  messageSizeMax: 57,
  renewalSeconds: 58,
  rebindingSeconds: 59,
  vendorClass: 60,
  clientId: 61,
  tftpServerName: 66,
  bootFile: 67,
  /** RFC 3004, and the bare form that iPXE and others send */
  userClass: 77,
  /** RFC 3046 */
  relayAgent: 82,
  /** RFC 4578 §2.1 */
  clientArchitecture: 93,
  /** RFC 4578 §2.2 */
  clientInterface: 94,
  /** RFC 4578 §2.3 */
  clientUuid: 97,
  /** iPXE's own encapsulated options */
  ipxe: 175,
  end: 255,
} as const;

/** Sub-options of option 82. */
export const relayCode = {
  circuitId: 1,
  remoteId: 2,
  /** RFC 3527: the subnet of the client, where it is not the relay's own address */
  linkSelection: 5,
  /** RFC 5107: the address by which the client must know its server */
  serverIdOverride: 11,
} as const;

/** Sub-options of option 175. @source iPXE, src/include/ipxe/dhcp.h */
export const ipxeCode = {
  http: 19,
  /** 1: do not wait for a ProxyDHCP offer */
  noProxyDhcp: 176,
} as const;
