const units = ["B", "KiB", "MiB", "GiB", "TiB", "PiB"] as const;

/** `16.0GiB`, `512B`: one digit after the point from KiB on. */
export function bytesText(bytes: bigint): string {
  let amount = Number(bytes);
  let unit = 0;
  while (amount >= 1024 && unit < units.length - 1) {
    amount /= 1024;
    unit++;
  }
  return unit === 0 ? `${bytes}B` : `${amount.toFixed(1)}${units[unit]}`;
}
