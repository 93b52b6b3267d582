// The shipped agent joins the shipped central with what the shipped CLI prints, over TLS, and stays known to it, or not.
import assert from "node:assert/strict";
import { afterEach, beforeEach, test } from "node:test";
import { Code, ConnectError } from "@connectrpc/connect";
import { kinds } from "#central/store/kinds.ts";
import { joinString, parseJoinString } from "#domain/join/join-string.ts";
import { JoinService } from "#gen/holdfast/join/v1/join_pb.ts";
import { ecdsaKeys as keys } from "#lib/io/ecdsa-keys.ts";
import { listen } from "#lib/io/one-port.ts";
import { silentLog } from "#lib/log.ts";
import { MemoryDisk } from "#lib/memory-disk.ts";
import { checked } from "#lib/result.ts";
import { certificatePem, pem } from "#lib/x509/pem.ts";
import { hourMs, nameSize, Place, startAgent, startCentral } from "./place.ts";

let place: Place;
let central: Awaited<ReturnType<typeof startCentral>>;
beforeEach(async () => {
  place = new Place();
  central = await startCentral(place);
});
afterEach(() => place.end());

async function invitation(): Promise<string> {
  const { out, err, code } = await central.types("central", "join-token", "create", "--partition", "p1");
  assert.equal(code, 0, err);
  assert.match(out, /^holdfast-join-1\.[\w-]+\n$/);
  return out;
}

/** An agent that has joined and follows. */
async function joined(disk = new MemoryDisk()) {
  place.write(await invitation());
  const agent = await startAgent(place, disk);
  await place.until("the link is up", () => agent.link.phase === "following");
  return agent;
}

const follows = async (agent: Awaited<ReturnType<typeof startAgent>>, name: string) => {
  await nameSize(central.state, name);
  await place.until(`the agent has heard of ${name}`, () => agent.sizeName() === name);
};

test("an agent without anything waits for a join token, joins by it, and follows; the token is used up then", async () => {
  const agent = await startAgent(place, new MemoryDisk());
  const how = /^not joined yet: put what `holdfast central join-token create --partition p1` prints into .*join-token$/;
  await place.until("it says what it waits for", () => how.test(agent.link.lastError ?? ""));
  assert.match(agent.certificate().problem, how);
  const text = await invitation();
  place.write(text);
  await follows(agent, "one");
  assert.equal(agent.certificate().problem, "");
  const listed = await central.types("central", "join-token", "list");
  assert.match(listed.out, /p1 +admin .* used \d+s ago by /);
  const certificates = await central.types("partition", "certificates", "p1");
  assert.match(certificates.out, /^SERIAL +HOST +AGE +STATE\n[0-9a-f]{32} +\S+ +\d+s +good for (1h00m|59m\d\ds)\n$/);
  const another = await startAgent(place, new MemoryDisk());
  const why = /^\[failed_precondition\] join token \S+ was used at \S+ by \S+: make a new one$/;
  await place.until("it is refused", () => why.test(another.link.lastError ?? ""));
  assert.match(another.certificate().problem, why);
});

test("the certificate is renewed when two thirds are over, and the link goes on beyond the end of the first", async () => {
  const agent = await joined();
  const first = agent.certificate().untilMs!;
  place.clock.advance(hourMs * 0.66);
  await place.until("central is heard again", () => agent.link.phase === "following");
  assert.equal(agent.certificate().untilMs, first);
  place.clock.advance(hourMs * 0.02);
  await place.until("there is another certificate", () => agent.certificate().untilMs! > first);
  place.clock.advance(first - place.clock.wallMs() + 1000);
  await follows(agent, "after the first certificate");
  assert.equal(agent.certificate().problem, "");
});

test("an agent that was restarted follows by the certificate on its disk; nobody needs the file any more", async () => {
  const disk = new MemoryDisk();
  const agent = await joined(disk);
  await agent.stop();
  place.write("");
  const again = await startAgent(place, disk);
  await follows(again, "after the restart");
});

test("a revoked certificate ends the link within seconds; with a new join token the agent goes on with its ledger", async () => {
  const agent = await joined();
  await follows(agent, "before");
  const { cursor } = agent.ledger;
  const outbox = agent.outbox.id;
  const revoked = await central.types("partition", "revoke-certificates", "p1");
  assert.match(revoked.out, /^[0-9a-f]{32} of partition p1 is worthless\n$/);
  const beganMs = place.clock.monotonicMs();
  await place.until("the link ends", () => agent.link.phase !== "following");
  assert.ok(place.clock.monotonicMs() - beganMs <= 10_000);
  assert.match(
    agent.link.lastError ?? "",
    /^\[unauthenticated\] the client certificate \S+ of partition p1 was revoked at /,
  );
  await nameSize(central.state, "after");
  assert.equal(agent.sizeName(), "before");
  assert.deepEqual(agent.ledger.cursor, cursor);
  place.write(await invitation());
  await place.until("it has joined again", () => agent.sizeName() === "after");
  assert.equal(agent.outbox.id, outbox);
});

test("an expired certificate ends the link and nothing else; a new join token begins it again", async () => {
  const agent = await joined();
  await follows(agent, "before");
  // All at once: there was no time to renew it.
  place.clock.advance(hourMs + 1000);
  await place.until("the link ends", () => /expired/.test(agent.link.lastError ?? ""));
  assert.match(
    agent.link.lastError ?? "",
    /^\[unauthenticated\] the client certificate \S+ of partition p1 expired at /,
  );
  assert.match(
    agent.certificate().problem,
    /^the certificate has expired: put what `holdfast central join-token create/,
  );
  assert.equal(agent.sizeName(), "before");
  place.write(await invitation());
  await follows(agent, "after");
});

test("a central that is away while the certificate ends finds the agent at work, and lets it join again", async () => {
  const agent = await joined();
  await follows(agent, "before");
  const { port } = central;
  await central.stop();
  place.clock.advance(2 * hourMs);
  await place.until("it has noticed", () => agent.certificate().problem !== "");
  assert.equal(agent.sizeName(), "before");
  central = await startCentral(place, port);
  place.write(await invitation());
  await follows(agent, "after");
});

test("a central that was restored from before a renewal knows the agent by the certificate before", async () => {
  const agent = await joined();
  const first = agent.certificate().untilMs!;
  place.clock.advance(hourMs * 0.7);
  await place.until("there is another certificate", () => agent.certificate().untilMs! > first);
  await follows(agent, "under the second");
  const { state } = central;
  const [newest] = [...state.list(kinds.agentCertificate)].sort((a, b) => (a.created < b.created ? 1 : -1));
  await state.transact((tx) => tx.delete(kinds.agentCertificate, newest!.id));
  await place.until("central does not know it", () =>
    place.logged.some((line) => line.startsWith("certificate-unknown ")),
  );
  await follows(agent, "under the first again");
  await place.until("it is renewed again", () => agent.certificate().untilMs! > first);
  await follows(agent, "under the third");
});

test("to somebody in between nothing is said, whether they show a chain of their own or the right authority beside it", async () => {
  const text = checked(parseJoinString(await invitation()));
  const other = new Place();
  try {
    const stranger = await startCentral(other);
    const pair = keys.newPair();
    const use = { kind: "server", names: ["127.0.0.1"] } as const;
    const own = stranger.authority.issue({ subject: "c", publicKey: pair.publicKey, use, lifeMs: hourMs });
    for (const shownBeside of [stranger.authority, central.authority]) {
      let heard = 0;
      const between = await listen(
        {
          routes: (router) =>
            router.service(JoinService, {
              enrol: () => {
                heard++;
                throw new ConnectError("caught", Code.Internal);
              },
            }),
          tls: () => ({
            key: pem("PRIVATE KEY", pair.privateKey),
            certificate: certificatePem(own.certificate) + certificatePem(shownBeside.certificate),
          }),
          limits: { drainMs: 0 },
          log: silentLog,
        },
        { host: "127.0.0.1", port: 0 },
      );
      place.write(joinString({ ...text, endpoint: `https://127.0.0.1:${between.port}` }));
      const agent = await startAgent(place, new MemoryDisk());
      await place.until("it has tried", () => /certificate/.test(agent.certificate().problem));
      const why = shownBeside === central.authority ? /certificate/ : /is not the central of the join token/;
      assert.match(agent.certificate().problem, why);
      assert.equal(heard, 0);
      await agent.stop();
      await between.stop();
    }
  } finally {
    await other.end();
  }
});

test("neither join string nor secret is in any log, of central or of the agent", async () => {
  const text = await invitation();
  place.write(text);
  const agent = await startAgent(place, new MemoryDisk());
  await place.until("the link is up", () => agent.link.phase === "following");
  const another = await startAgent(place, new MemoryDisk());
  await place.until("it is refused", () => another.certificate().problem.includes("was used"));
  const secret = Buffer.from(checked(parseJoinString(text)).secret);
  const forms = [text.trim(), ...(["hex", "base64", "base64url"] as const).map((form) => secret.toString(form))];
  for (const event of ["joined-central", "agent-enrolled", "enrolment-refused", "not-joined"])
    assert.ok(
      place.logged.some((line) => line.startsWith(`${event} `)),
      event,
    );
  for (const line of place.logged) for (const form of forms) assert.ok(!line.includes(form), line);
});
