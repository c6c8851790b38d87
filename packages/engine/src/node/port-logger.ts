import { pino, type Logger } from 'pino'

export type LogLevel = 'fatal' | 'error' | 'warn' | 'info' | 'debug' | 'trace' | 'silent'

/** Where a worker's log lines go: the main thread hands each to the one transport of the process. */
export interface LogPort {
  postMessage(line: string): void
}

/**
 * A pino logger whose lines (JSON, newline-terminated) leave this thread through `port`; formatting and
 * writing happen elsewhere. `bindings` are bound once: partition, channel, component.
 *
 * Any thread. Never on a data path.
 */
export function createPortLogger(
  port: LogPort,
  level: LogLevel,
  bindings: Readonly<Record<string, string | number>>,
): Logger {
  return pino({ level, base: bindings }, { write: (line) => port.postMessage(line) })
}
