/** What a machine says of its guest: rare, bounded in number, and plain data. Pino's own loggers are such, and `engine/node`'s. */
export interface MachineLog {
  warn(fields: Readonly<Record<string, unknown>>, message: string): void
}
