import assert from "node:assert/strict";
import { after, before, beforeEach, test } from "node:test";
import { VirtualClock } from "#lib/virtual-clock.ts";
import type { PostForm } from "../cli.ts";
import { holdfast, reset, serverUrl, start, stop } from "../testing/rehearsal.ts";

before(start);
after(stop);
beforeEach(reset);

const codes = {
  device_code: "sealed",
  user_code: "WDJB-MJHT",
  verification_uri: "https://id.example/device",
  expires_in: 60,
  interval: 5,
};

/** A server that answers so, one after the other; time moves with each question. */
function answering(clock: VirtualClock, ...answers: readonly (object | string)[]) {
  const asked: { url: string; form: Readonly<Record<string, string>>; atMs: number }[] = [];
  const left = [...answers];
  const postForm: PostForm = async ({ url, form }) => {
    asked.push({ url, form, atMs: clock.monotonicMs() });
    const answer = left.shift() ?? { error: "authorization_pending" };
    // Whoever asked sleeps by then.
    setImmediate(() => clock.advance(clock.nextMs === undefined ? 0 : clock.nextMs - clock.monotonicMs()));
    const status = answer === "none" ? 404 : typeof answer === "object" && "error" in answer ? 400 : 200;
    return { status, body: typeof answer === "string" ? answer : JSON.stringify(answer) };
  };
  return { asked, postForm };
}

const login = (clock: VirtualClock, postForm: PostForm) =>
  holdfast(["login", "--server", serverUrl(), "--device"], { clock, postForm });

test("a login by device says where to go, waits as it is told, and stores the token", async () => {
  const clock = new VirtualClock();
  const pending = { error: "authorization_pending" };
  const { asked, postForm } = answering(clock, codes, pending, { error: "slow_down" }, { access_token: "good" });
  const ran = await login(clock, postForm);
  assert.equal(ran.code, 0, ran.err);
  assert.match(ran.err, /open https:\/\/id.example\/device\n.*code WDJB-MJHT/);
  assert.match(ran.settings ?? "", /token: good/);
  assert.deepEqual(
    asked.map((a) => [a.url.slice(serverUrl().length), a.atMs]),
    [
      ["/auth/device", 0],
      ["/auth/token", 5_000],
      ["/auth/token", 10_000],
      ["/auth/token", 20_000],
    ],
  );
  assert.equal(asked[1]?.form.device_code, "sealed");
});

test("a login by device ends with its reason: refused, too late, not configured", async () => {
  const cases: readonly [readonly (object | string)[], RegExp][] = [
    [
      [codes, { error: "access_denied", error_description: "login admin is reserved" }],
      /refused: login admin is reserved/,
    ],
    [[codes], /nobody confirmed the code within 60 s/],
    [["none"], /no login configured/],
    [["<html>"], /refused: <html>/],
  ];
  for (const [answers, why] of cases) {
    const clock = new VirtualClock();
    const ran = await login(clock, answering(clock, ...answers).postForm);
    assert.equal(ran.code, 1);
    assert.match(ran.err, why);
    assert.equal(ran.settings, undefined);
  }
});

test("a login takes a token from a file or by device, and not both or neither", async () => {
  for (const flags of [[], ["--device", "--token-file", "t"]]) {
    const ran = await holdfast(["login", "--server", serverUrl(), ...flags], { files: { t: "good" } });
    assert.equal(ran.code, 2);
    assert.match(ran.err, /either --token-file FILE or --device/);
  }
});
