// Central as its program starts it, within the process of a test.
import assert from "node:assert/strict";
import { setMaxListeners } from "node:events";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { readConfig } from "#lib/config.ts";
import { Lifetime } from "#lib/lifetime.ts";
import type { Log, LogFields } from "#lib/log.ts";
import { centralConfigSchema } from "../../config.ts";
import { startCentral } from "../central.ts";

export interface StartedCentral {
  readonly baseUrl: string;
  /** The administrator's. */
  readonly token: string;
  /** Of central's own authority, where TLS is configured. */
  readonly caFile: string;
  readonly heard: Heard;
  stop(): Promise<void>;
}

/**
 * On a free port of loopback, over a store in memory.
 * @param yaml what else is configured, as entries of a flow mapping
 */
export async function startedCentral(yaml: string): Promise<StartedCentral> {
  const folder = mkdtempSync(path.join(tmpdir(), "holdfast-central-"));
  const [adminTokenFile, caFile] = [path.join(folder, "admin-token"), path.join(folder, "ca.pem")];
  const text = `{listen: {port: 0}, store: {kind: memory}, adminTokenFile: ${adminTokenFile}, ${yaml}}`;
  const argv = yaml.includes("tls:") ? [`--tls.caFile=${caFile}`] : [];
  const config = readConfig(centralConfigSchema, { argv, env: {}, file: { name: "central.yaml", text } });
  assert.ok(config.ok, config.ok ? "" : config.error.join("\n"));
  const heard = new Heard();
  const lifetime = new Lifetime(heard.log);
  setMaxListeners(0, lifetime.signal);
  await startCentral(config.value, { log: heard.log, lifetime });
  const { url } = await heard.event("listening");
  return {
    baseUrl: String(url),
    token: readFileSync(adminTokenFile, "utf8").trim(),
    caFile,
    heard,
    async stop() {
      await lifetime.stop();
      rmSync(folder, { recursive: true });
    },
  };
}

/** A log whose events can be waited for. */
export class Heard {
  readonly #events = new Map<string, LogFields>();
  readonly #waiting = new Map<string, (fields: LogFields) => void>();
  readonly #note = (event: string, fields: LogFields = {}) => {
    this.#events.set(event, fields);
    this.#waiting.get(event)?.(fields);
  };
  readonly log: Log = {
    ...{ debug: this.#note, info: this.#note, warn: this.#note, error: this.#note },
    child: () => this.log,
  };

  /** Also one that has been. */
  async event(name: string): Promise<LogFields> {
    return this.#events.get(name) ?? (await new Promise((resolve) => this.#waiting.set(name, resolve)));
  }
}
