/** A text cut so that no character is split in two, neither by this nor by who cut it before: half of one cannot be sent. */
export const whole = (text: string, charactersMax: number): string =>
  text.slice(0, charactersMax).replace(/[\ud800-\udbff](?![\udc00-\udfff])|(?<![\ud800-\udbff])[\udc00-\udfff]/g, "");
