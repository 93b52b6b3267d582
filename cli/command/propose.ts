import { type Application, proposeCompletions } from "@stricli/core";
import { type Cli, say } from "../cli.ts";

/** What bash asks: it hands over the words of the line, and in COMP_LINE the line itself. */
export const proposeFor = (app: Application<Cli>) =>
  async function (this: Cli, _flags: Record<never, never>, ...words: readonly string[]): Promise<void> {
    for (const proposal of await proposals(app, this, words)) say(this, `${proposal}\n`);
  };

/** @param words the line's, its program included; a blank at the end of COMP_LINE means that a new word begins */
export async function proposals(app: Application<Cli>, cli: Cli, words: readonly string[]): Promise<readonly string[]> {
  const typed = [...words.slice(1), ...(cli.env.COMP_LINE?.endsWith(" ") ? [""] : [])];
  const found = await proposeCompletions(app, typed, cli);
  return found.map((proposal) => `${proposal.completion} `);
}
