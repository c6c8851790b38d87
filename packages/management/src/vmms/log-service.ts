import { pino, type Logger } from 'pino'
import { MessageChannel, type MessagePort } from 'node:worker_threads'
import type { LogLevel } from '@guestyard/engine/node'

export interface LogOptions {
  /** Default `warn`. */
  readonly level?: LogLevel
  /** A file's path, or `stderr` (the default). Lines are pino's JSON. */
  readonly destination?: string
}

/** How long the last lines may take to be written. */
const CLOSE_PATIENCE_MS = 2_000

/**
 * The one place where log lines are written: pino's transport, in a thread of its own. Every partition and
 * worker process has a port here, so no thread that works ever formats or writes.
 */
export class LogService {
  readonly level: LogLevel
  readonly logger: Logger
  readonly #transport: ReturnType<typeof pino.transport>
  readonly #ports: Set<MessagePort>

  constructor(options: LogOptions) {
    const destination = options.destination ?? 'stderr'
    this.level = options.level ?? 'warn'
    this.#ports = new Set()
    this.#transport = pino.transport({
      target: 'pino/file',
      options: destination === 'stderr' ? { destination: 2 } : { destination, mkdir: true },
    })
    this.logger = pino({ level: this.level, base: { component: 'vmms' } }, this.#transport)
  }

  /** The far end of a new port; transfer it to the thread that logs. */
  openPort(): MessagePort {
    const { port1, port2 } = new MessageChannel()
    port1.on('message', (line: unknown) => {
      if (typeof line === 'string') this.#transport.write(line)
    })
    port1.on('close', () => this.#ports.delete(port1))
    port1.unref()
    this.#ports.add(port1)
    return port2
  }

  async close(): Promise<void> {
    for (const port of this.#ports) port.close()
    await new Promise<void>((resolve) => {
      // The transport's thread keeps no event loop alive: without the timer a process that has nothing else left
      // would end before the last lines are written.
      const patience = setTimeout(resolve, CLOSE_PATIENCE_MS)
      this.#transport.once('close', () => {
        clearTimeout(patience)
        resolve()
      })
      this.#transport.end()
    })
  }
}
