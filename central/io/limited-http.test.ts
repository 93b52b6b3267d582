import assert from "node:assert/strict";
import { test } from "node:test";
import { listen } from "#lib/io/one-port.ts";
import { silentLog as log } from "#lib/log.ts";
import { VirtualClock } from "#lib/virtual-clock.ts";
import { RateLimit } from "../rate/rate-limit.ts";
import { limitedHttp } from "./limited-http.ts";

test("a page is refused that is asked for too often from one address, with the time to wait", async () => {
  const clock = new VirtualClock();
  const limit = new RateLimit({ token: undefined, anonymous: { perSecond: 0.1, burst: 1 } }, clock);
  const http = limitedHttp((_req, res) => {
    res.end("page");
    return true;
  }, limit);
  const port = await listen({ routes: () => {}, http, log }, { host: "127.0.0.1", port: 0 });
  const get = async () => {
    const answer = await fetch(`http://127.0.0.1:${port.port}/auth/page`);
    return `${answer.status} ${answer.headers.get("retry-after")} ${await answer.text()}`;
  };
  assert.equal(await get(), "200 null page");
  assert.equal(await get(), "429 10 too many calls without a good token from 127.0.0.1: try again in 10 s\n");
  clock.advance(10_000);
  assert.equal(await get(), "200 null page");
  await port.stop();
});
