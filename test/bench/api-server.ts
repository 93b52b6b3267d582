import { fork } from "node:child_process";
import { once } from "node:events";
import { fileURLToPath } from "node:url";

export interface ServerAddress {
  readonly url: string;
  /** Of the owner of what is asked for. */
  readonly token: string;
}

export interface BenchServer extends ServerAddress {
  /** Microseconds that it has computed in all. */
  computedUs(): Promise<number>;
  stop(): Promise<void>;
}

/** @param what `echo`, or the endpoint of the etcd that a central is to run over */
export async function startServer(what: string): Promise<BenchServer> {
  const child = fork(fileURLToPath(new URL("./api-server-main.ts", import.meta.url)), [what]);
  const gone = once(child, "exit");
  const first = await Promise.race([
    once(child, "message"),
    gone.then(([code]) => new Error(`${what}: ended with ${code}`)),
  ]);
  if (first instanceof Error) throw first;
  return {
    ...(first[0] as ServerAddress),
    async computedUs() {
      const answer = once(child, "message");
      child.send("cpu");
      const [{ user, system }] = (await answer) as [NodeJS.CpuUsage];
      return user + system;
    },
    async stop() {
      child.disconnect();
      await gone;
    },
  };
}
