// Named ways to break the product. Each is one edit of one file: what must be there is replaced by what must not.

export interface Mutant {
  readonly name: string;
  readonly file: string;
  readonly from: string;
  readonly to: string;
}

/** @throws when the file does not have the place exactly once */
export function broken({ name, file, from, to }: Mutant, text: string): string {
  if (text.split(from).length !== 2) throw new Error(`mutant "${name}": ${file} does not have its text exactly once`);
  return text.replace(from, () => to);
}

export const mutants: readonly Mutant[] = [
  {
    name: "orders are not checked against the epoch",
    file: "domain/machine/bmc-order.ts",
    from: "if (order.epoch !== epoch) return",
    to: "if (false) return",
  },
  {
    name: "a lease is acknowledged before it is on the disk",
    file: "pxe-boot/dhcp/service.ts",
    from: "await this.#saves.save(lease);",
    to: "void this.#saves.save(lease).catch(() => {});",
  },
  {
    name: "an outbox entry is dropped",
    file: "partition-agent/outbox/outbox.ts",
    from: "if (sequences.has(sequence)) this.#keep(entry);",
    to: "if (sequences.has(sequence) && sequence % 7n !== 0n) this.#keep(entry);",
  },
  {
    name: "a repeated success counts as another installation",
    file: "domain/machine/registration.ts",
    from: "if (m.installedEpoch === epoch && m.installedBoot === m.boot) return false;",
    to: "",
  },
  {
    name: "addresses are given back before the port is isolated",
    file: "central/sync/settle.ts",
    from: "const isIsolated = release !== undefined && observed.isolatedEpoch >= release.epoch;",
    to: "const isIsolated = release !== undefined;",
  },
  {
    name: "isolation is noted without looking at the port",
    file: "partition-agent/machine/plan.ts",
    from: "if (port.network !== wanted) {",
    to: "if (port.network !== wanted && wanted !== provisioning) {",
  },
  {
    name: "what is decided is not looked at again before the act",
    file: "partition-agent/machine/reconciler.ts",
    from: "if (this.#isOver(uuid, facts)) {",
    to: "if (false) {",
  },
  {
    name: "a copied disk is trusted",
    file: "partition-agent/ledger/safe-mode.ts",
    from: "const isCopy = stored !== undefined && new TextDecoder().decode(stored) !== disk.identity;",
    to: "const isCopy = false;",
  },
  {
    name: "a disk that may have been set back in place is trusted",
    file: "partition-agent/ledger/safe-mode.ts",
    from: "this.#why = distrust ?? caution;",
    to: "this.#why = distrust;",
  },
  {
    name: "what a disk that was set back has counted on passes for a repetition",
    file: "central/sync/set-back.ts",
    from: "return last === undefined || taken.sequence > last.sequence;",
    to: "return false;",
  },
  {
    name: "what was forgotten is not given back",
    file: "central/sync/messages.ts",
    from: 'if (taken === undefined || outbox === "") return;',
    to: "return;",
  },
  {
    name: "a phone-home of an unfinished installation is welcome",
    file: "partition-agent/boot/phone-home.ts",
    from: "if (!isInstalled(desired, observed)) {",
    to: "if (false) {",
  },
  {
    name: "a failure is tried again at once",
    file: "lib/reconcile.ts",
    from: "const restMaxMs = 10_000;",
    to: "const restMaxMs = 500;",
  },
  {
    name: "a report is taken again",
    file: "central/sync/report.ts",
    from: "const fresh = entries.filter((entry) => entry.sequence > before);",
    to: "const fresh = entries;",
  },
  {
    name: "a ledger that has drifted is believed",
    file: "partition-agent/ledger/ledger.ts",
    from: "if (kinds.length === 0) return [];",
    to: "return [];",
  },
  {
    name: "a machine whose tenant central has forgotten is not left alone",
    file: "partition-agent/machine/lost-record.ts",
    from: "if (desired && observed && observed.workedEpoch > desired.epoch) {",
    to: "if (false) {",
  },
  {
    name: "machines are given away where central does not know how they are",
    file: "central/machine/allocate.ts",
    from: "  checkTold(peek, desired.partition);\n  checkLinkUp(peek, desired.partition);\n",
    to: "",
  },
  {
    name: "nothing is told again to a restored central",
    file: "partition-agent/observations/observations.ts",
    from: "(history ?? this.#told.history) === this.#told.history &&",
    to: '((history ?? "") === this.#told.history || this.#told.history !== "") &&',
  },
  {
    name: "what another outbox replaced is not told again",
    file: "partition-agent/link/link.ts",
    from: "await tellAll({ turn });",
    to: "void turn;",
  },
  {
    name: "a copy of the agent is let in at another central",
    file: "central/sync/claim-life.ts",
    from: "if (isElsewhere && present.agent !== agent && tx.get(kinds.centralSession, present.session))",
    to: "if (false)",
  },
  {
    name: "an older set is accepted",
    file: "partition-agent/ledger/ledger.ts",
    from: "if (known && cursor.revision < known.cursor.revision) {",
    to: "if (false) {",
  },
  {
    name: "an effect is done under an id that another one had",
    file: "partition-agent/machine/effect-journal.ts",
    from: ": { opId: random.uuid(), epoch: effect.epoch }),",
    to: ": { opId: effect.kind, epoch: effect.epoch }),",
  },
  {
    name: "a central's claims outlive it",
    file: "central/sync/claim-life.ts",
    from: "present.agent !== agent && tx.get(kinds.centralSession, present.session)",
    to: "present.agent !== agent",
  },
  {
    name: "an order is carried out after its deadline",
    file: "domain/machine/bmc-order.ts",
    from: "  deadline !== undefined && timestampMs(deadline) < nowMs;",
    to: "  deadline !== undefined && timestampMs(deadline) < nowMs - 3_600_000;",
  },
  {
    name: "central's orders go by the agent's clock",
    file: "partition-agent/machine/plan.ts",
    from: "isLocal(order, facts) ? exactly(facts.nowMs) : facts.centralTime;",
    to: "exactly(facts.nowMs);",
  },
  {
    name: "a look at a machine counts as a word from it",
    file: "partition-agent/machine/reconciler.ts",
    from: "m.epoch = facts.desired?.epoch ?? 0n;",
    to: "m.epoch = facts.desired?.epoch ?? 0n; m.heardAt = timestampFromMs(clock.wallMs());",
  },
  {
    name: "a BMC that is silent counts as seen",
    file: "partition-agent/bmc/directory.ts",
    from: "      this.#errors.set(address, text);",
    to: `      this.#errors.set(address, text);
      for (const [uuid, at] of this.#addressOf)
        if (at === address)
          void this.#ports.observations
            .update(uuid, (m) => void (m.bmcUpdatedAt = timestampFromMs(this.#ports.clock.wallMs())))
            .catch(() => {});`,
  },
  {
    name: "every question to a BMC opens a session of its own",
    file: "partition-agent/bmc/directory.ts",
    from: "undefined : this.#bmcs.get(address);",
    to: "undefined : this.#ports.connect(address);",
  },
  {
    name: "a BMC is asked again at once",
    file: "partition-agent/bmc/directory.ts",
    from: "found ? this.#ports.pollMs : this.#ports.searchMs",
    to: "500",
  },
  {
    name: "a system of before the agent's disk was lost is not let in",
    file: "partition-agent/boot/boot-token.ts",
    from: "if (!claims || !known || ",
    to: "if (claims || ",
  },
  {
    name: "a revoked certificate is as good as before",
    file: "central/join/certificate-caller.ts",
    from: "if (stored.revokedAt) throw",
    to: "if (false) throw",
  },
  {
    name: "a join token is used as often as one likes",
    file: "central/join/join-tokens.ts",
    from: "if (use) return",
    to: "if (false) return",
  },
  {
    name: "what is recalled is taken back before its agent has said that it does not use it",
    file: "central/budget/take-back.ts",
    from: "return use?.generation === generation ? withoutItems(recalled, use.used ?? noItems()) : noItems();",
    to: "return generation === 0n ? noItems() : withoutItems(recalled, use?.used ?? noItems());",
  },
];
