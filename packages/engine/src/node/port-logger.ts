// Log lines of a thread that works: composed here, in the form that pino writes, and posted to the main thread, whose pino transport
// writes them. A logger of pino's own would cost each of the two threads of a VM a megabyte and fifteen milliseconds of its start.

export type LogLevel = 'fatal' | 'error' | 'warn' | 'info' | 'debug' | 'trace' | 'silent'

/** Where a worker's log lines go: the main thread hands each to the one transport of the process. */
export interface LogPort {
  postMessage(line: string): void
}

/** Plain data, bound once or with each line. An `Error` under `err` is written with its type, message and stack. */
export type LogFields = Readonly<Record<string, unknown>>

/** Fields and a message, an error, or a message alone. */
export interface LogLine {
  (fields: object, message?: string): void
  (message: string): void
}

/** The part of a pino logger that threads here use. */
export interface PortLogger {
  readonly level: LogLevel
  readonly fatal: LogLine
  readonly error: LogLine
  readonly warn: LogLine
  readonly info: LogLine
  readonly debug: LogLine
  readonly trace: LogLine
  isLevelEnabled(level: LogLevel): boolean
  /** A logger that binds these fields too. */
  child(bindings: LogFields): PortLogger
}

const SEVERITY: Readonly<Record<LogLevel, number>> = {
  trace: 10,
  debug: 20,
  info: 30,
  warn: 40,
  error: 50,
  fatal: 60,
  silent: Infinity,
}

/**
 * A logger whose lines (pino's JSON, newline-terminated) leave this thread through `port`. `bindings` are bound once:
 * partition, channel, component.
 *
 * Any thread. Never on a data path.
 */
export function createPortLogger(port: LogPort, level: LogLevel, bindings: LogFields): PortLogger {
  const lineOf = (name: LogLevel): LogLine => {
    if (SEVERITY[name] < SEVERITY[level]) return ignored
    return (first: object | string, message?: string) => {
      port.postMessage(compose(SEVERITY[name], bindings, first, message))
    }
  }
  return {
    level,
    fatal: lineOf('fatal'),
    error: lineOf('error'),
    warn: lineOf('warn'),
    info: lineOf('info'),
    debug: lineOf('debug'),
    trace: lineOf('trace'),
    isLevelEnabled: (asked) => asked !== 'silent' && SEVERITY[asked] >= SEVERITY[level],
    child: (more) => createPortLogger(port, level, { ...bindings, ...more }),
  }
}

function compose(
  severity: number,
  bindings: LogFields,
  first: object | string,
  message: string | undefined,
): string {
  const time = Date.now()
  if (typeof first === 'string') return write({ level: severity, time, ...bindings, msg: first })
  const fields = first instanceof Error ? { err: first } : (first as LogFields)
  const said = message ?? (first instanceof Error ? first.message : undefined)
  const named = fields['err'] instanceof Error ? { ...fields, err: plain(fields['err']) } : fields
  return write({ level: severity, time, ...bindings, ...named, msg: said })
}

/** Total: what JSON can't say (a cycle, a bigint) costs the line its fields, never the caller an exception. */
function write(line: LogFields): string {
  try {
    return `${JSON.stringify(line)}\n`
  } catch {
    const { level, time, msg } = line
    return `${JSON.stringify({ level, time, msg: String(msg), unwritable: Object.keys(line) })}\n`
  }
}

function plain(error: Error): LogFields {
  return { type: error.name, message: error.message, stack: error.stack }
}

function ignored(): void {}
