/** Between a script and the thread of a plain machine. */

export interface PlainSettings {
  readonly memoryBytes: number
  /** Of its IDE disk, in its thread's memory. */
  readonly diskBytes: number
  /** The network that its card is on, with all plain machines of this process that name the same; null: it has none. */
  readonly network: number | null
}

export interface PlainCommand {
  /** From 1 on. */
  readonly id: number
  readonly script: string
}

/** How a script ended; id 0: the machine serves. */
export interface PlainReply {
  readonly id: number
  readonly exitCode: number
  readonly output: Uint8Array
}
