// Who may see a thing: whoever may make one of the calls that show it. What a call demands is asked of its own rule.
import type { Caller } from "../access/caller.ts";
import { decide } from "../access/decide.ts";
import { noSubject, type Subject } from "../access/rule.ts";
import { rules } from "../rules.ts";
import type { About, Reading, ThingKind } from "./kinds.ts";

/** What one caller may see. Each answer is kept, for most things are somebody's who was asked about before: make it anew to ask anew. */
export class Sight {
  readonly #caller: Caller;
  readonly #asking: string;
  readonly #answers = new Map<string, boolean>();

  /** @param asking the project that is asked for, or empty */
  constructor(caller: Caller, asking: string) {
    this.#caller = caller;
    this.#asking = asking;
  }

  sees(kind: ThingKind, about: About): boolean {
    const key = JSON.stringify([kind.name, about.project, about.tenant, about.user, about.isBase]);
    const before = this.#answers.get(key);
    if (before !== undefined) return before;
    const answer = mayRead(kind.readings, about, this.#caller, this.#asking);
    this.#answers.set(key, answer);
    return answer;
  }
}

export function mayRead(readings: readonly Reading[], about: About, caller: Caller, asking: string): boolean {
  return readings.some(({ method, by }) => {
    const subject = subjectOf(by, about, caller, asking);
    return subject !== undefined && decide(rules.get(method), caller, subject).allowed;
  });
}

/** What the call would be about; undefined when it would not show this thing. */
function subjectOf(by: Reading["by"], about: About, caller: Caller, asking: string): Subject | undefined {
  switch (by) {
    case "anybody":
      return noSubject;
    case "project":
      return about.project === "" ? undefined : { ...noSubject, project: about.project };
    case "tenant":
      return about.tenant === "" ? undefined : { ...noSubject, tenant: about.tenant };
    case "user":
      return about.user === caller.user ? noSubject : undefined;
    case "asking project":
      return about.isBase && asking !== "" ? { ...noSubject, project: asking } : undefined;
    default:
      return by satisfies never;
  }
}
