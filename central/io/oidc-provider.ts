// The identity provider over the network, by openid-client. Signatures of ID tokens are verified although they come over TLS.
import * as oidc from "openid-client";
import type { Clock } from "#lib/clock.ts";
import { hourMs } from "#lib/durations.ts";
import { Refusal } from "#lib/refusal.ts";
import type { Secret } from "#lib/secret.ts";
import type { Checks, DeviceCodes, IdentityProvider, Pending } from "../login/identity-provider.ts";
import type { Claims } from "../login/person.ts";

export interface OidcOptions {
  readonly issuer: string;
  readonly clientId: string;
  /** Undefined: a public client. */
  readonly clientSecret: Secret | undefined;
  readonly scopes: string;
  /** The callback that is registered for this client. */
  readonly redirectUri: string;
  /** The claim that must be known. Some providers say it at their userinfo endpoint alone. */
  readonly userClaim: string;
}

const timeoutSeconds = 10;
/** What the provider says of itself is asked again after this. */
const discoveryMs = hourMs;
/** Requests to the provider that are under way at once: nobody who asks us has shown anything yet. */
const requestsMax = 64;

/** Nothing is asked before it is needed: central starts without it. */
export function oidcProvider(options: OidcOptions, clock: Clock): IdentityProvider {
  const { redirectUri, scopes, userClaim } = options;
  let underWay = 0;
  let known: { readonly configuration: Promise<oidc.Configuration>; readonly atMs: number } | undefined;

  const discover = (): Promise<oidc.Configuration> => {
    const now = clock.monotonicMs();
    if (known !== undefined && now - known.atMs < discoveryMs) return known.configuration;
    const configuration = discovered(options);
    known = { configuration, atMs: now };
    configuration.catch(() => {
      if (known?.configuration === configuration) known = undefined;
    });
    return configuration;
  };

  async function asking<T>(ask: (configuration: oidc.Configuration) => Promise<T> | T): Promise<T> {
    if (underWay >= requestsMax) throw unavailable(`${requestsMax} logins are under way: try again`);
    underWay++;
    try {
      return await ask(await discover());
    } catch (error) {
      throw refusalOf(error);
    } finally {
      underWay--;
    }
  }

  const claimsOf = async (configuration: oidc.Configuration, tokens: Tokens): Promise<Claims> => {
    const said = tokens.claims();
    if (said === undefined) throw new Refusal("unauthenticated", "the identity provider sent no ID token");
    if (said[userClaim] !== undefined || configuration.serverMetadata().userinfo_endpoint === undefined) return said;
    return { ...said, ...(await oidc.fetchUserInfo(configuration, tokens.access_token, said.sub)) };
  };

  return {
    authorizationUrl: ({ state, nonce, verifier }) =>
      asking(async (configuration) =>
        oidc.buildAuthorizationUrl(configuration, {
          redirect_uri: redirectUri,
          scope: scopes,
          state,
          nonce,
          code_challenge: await oidc.calculatePKCECodeChallenge(verifier),
          code_challenge_method: "S256",
        }),
      ),
    redeem: (callback: URL, { state, nonce, verifier }: Checks) =>
      asking(async (configuration) => {
        const checks = {
          expectedState: state,
          expectedNonce: nonce,
          pkceCodeVerifier: verifier,
          idTokenExpected: true,
        };
        return claimsOf(configuration, await oidc.authorizationCodeGrant(configuration, callback, checks));
      }),
    beginDevice: () =>
      asking(async (configuration): Promise<DeviceCodes> => {
        const codes = await oidc.initiateDeviceAuthorization(configuration, { scope: scopes });
        return {
          deviceCode: codes.device_code,
          userCode: codes.user_code,
          verificationUri: codes.verification_uri,
          verificationUriComplete: codes.verification_uri_complete,
          expiresSeconds: codes.expires_in,
          intervalSeconds: codes.interval ?? 5,
        };
      }),
    pollDevice: (deviceCode) =>
      asking(async (configuration): Promise<Claims | Pending> => {
        try {
          const parameters = { device_code: deviceCode };
          const grant = "urn:ietf:params:oauth:grant-type:device_code";
          return await claimsOf(configuration, await oidc.genericGrantRequest(configuration, grant, parameters));
        } catch (error) {
          const said = error instanceof oidc.ResponseBodyError ? error.error : undefined;
          if (said === "authorization_pending" || said === "slow_down") return said;
          throw error;
        }
      }),
    logoutUrl: () =>
      asking((configuration) =>
        configuration.serverMetadata().end_session_endpoint === undefined
          ? undefined
          : oidc.buildEndSessionUrl(configuration, { client_id: options.clientId }),
      ),
  };
}

type Tokens = Pick<oidc.TokenEndpointResponse & oidc.TokenEndpointResponseHelpers, "claims" | "access_token">;

async function discovered({ issuer, clientId, clientSecret }: OidcOptions): Promise<oidc.Configuration> {
  const url = new URL(issuer);
  const secret = clientSecret?.reveal();
  const method = secret === undefined ? oidc.None() : oidc.ClientSecretBasic(secret);
  return oidc.discovery(url, clientId, secret, method, {
    timeout: timeoutSeconds,
    execute: [
      oidc.enableNonRepudiationChecks,
      // The configuration lets plain text pass for this host alone.
      ...(url.protocol === "http:" ? [oidc.allowInsecureRequests] : []),
    ],
  });
}

function refusalOf(error: unknown): Refusal {
  if (error instanceof Refusal) return error;
  if (error instanceof oidc.AuthorizationResponseError || error instanceof oidc.ResponseBodyError) {
    const text = `the identity provider refused: ${error.error}`;
    return new Refusal("unauthenticated", text.slice(0, 256), { reason: "PROVIDER_REFUSED" });
  }
  const code = error instanceof oidc.ClientError ? error.code : undefined;
  const isAnswer = code !== undefined && !unanswered.has(code);
  if (isAnswer) {
    const text = `the identity provider's answer does not hold: ${code}`;
    return new Refusal("unauthenticated", text, { reason: "PROVIDER_ANSWER" });
  }
  return unavailable("the identity provider cannot be reached: try again later");
}

const unanswered = new Set(["OAUTH_TIMEOUT", "OAUTH_ABORT", "OAUTH_RESPONSE_IS_NOT_CONFORM"]);

const unavailable = (text: string) => new Refusal("unavailable", text, { reason: "PROVIDER_AWAY" });
