/**
 * Names of makers of BMCs and servers.
 * @source IANA Private Enterprise Numbers
 */
const names: Readonly<Record<number, string>> = {
  2: "IBM",
  9: "Cisco",
  11: "Hewlett-Packard",
  42: "Sun Microsystems",
  343: "Intel",
  674: "Dell",
  2011: "Huawei",
  6653: "Tyan",
  7244: "Quanta",
  10368: "Fujitsu",
  10876: "Supermicro",
  15000: "Kontron",
  15370: "Giga-Byte",
  19046: "Lenovo",
  20974: "American Megatrends",
  40092: "Wiwynn",
  47196: "Hewlett Packard Enterprise",
  49769: "YADRO",
};

export const manufacturerName = (id: number): string => names[id] ?? `IANA enterprise ${id}`;
