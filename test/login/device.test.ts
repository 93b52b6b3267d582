// The command line, central and an identity provider, over loopback.
import assert from "node:assert/strict";
import { test } from "node:test";
import { loginHandler } from "#central/io/login-http.ts";
import { oidcProvider } from "#central/io/oidc-provider.ts";
import { Browser, clientId, clientSecret, startProvider } from "#central/login/testing/identity-provider.ts";
import { testCentral } from "#central/testing/central.ts";
import { holdfast } from "#cli/testing/rehearsal.ts";
import { UserService } from "#gen/metalstack/api/v2/user_pb.ts";
import { listen } from "#lib/io/one-port.ts";
import { silentLog as log } from "#lib/log.ts";
import { Secret } from "#lib/secret.ts";
import { VirtualClock } from "#lib/virtual-clock.ts";

test("holdfast login --device ends with a token of whoever confirmed the code in a browser", async () => {
  const provider = await startProvider();
  provider.accounts.set("ann", { email: "ann@example.org", email_verified: true });
  const central = await testCentral();
  const userClaim = "email";
  const url = "http://127.0.0.1:1";
  const identityProvider = oidcProvider(
    {
      issuer: provider.issuer,
      clientId,
      clientSecret: new Secret(clientSecret),
      scopes: "openid email",
      redirectUri: url,
      userClaim,
    },
    central.clock,
  );
  const http = loginHandler({
    ...central,
    identityProvider,
    log,
    rules: { url, redirects: [], userClaim, sessionMs: 3_600_000 },
  });
  const port = await listen({ ...central.api, http, log }, { host: "127.0.0.1", port: 0 });
  try {
    const clock = new VirtualClock();
    const ran = await holdfast(["login", "--server", `http://127.0.0.1:${port.port}`, "--device"], {
      clock,
      onNote(text) {
        const page = /^open (\S+)/.exec(text)?.[1];
        if (page === undefined) return;
        const confirmed = new Browser("ann").visit(page);
        void confirmed.then(() => clock.advance(5_000));
      },
    });
    assert.equal(ran.code, 0, ran.err);
    const token = /token: (\S+)/.exec(ran.settings ?? "")?.[1];
    const { user } = await central.client(UserService, token).get({});
    assert.equal(user?.login, "ann@example.org");
  } finally {
    await port.stop();
    await central.close();
    await provider.close();
  }
});
