import pino from "pino";
import type { Log } from "../log.ts";

/** JSON lines on standard output. @param level pino's level names */
export function pinoLog(level: string): Log {
  return wrap(
    pino({
      level,
      base: null,
      timestamp: pino.stdTimeFunctions.isoTime,
      serializers: { error: pino.stdSerializers.err },
    }),
  );
}

const wrap = (p: pino.Logger): Log => ({
  debug: (event, fields) => p.debug(fields ?? {}, event),
  info: (event, fields) => p.info(fields ?? {}, event),
  warn: (event, fields) => p.warn(fields ?? {}, event),
  error: (event, fields) => p.error(fields ?? {}, event),
  child: (fields) => wrap(p.child(fields)),
});
