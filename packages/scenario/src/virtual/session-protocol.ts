// What travels between the main thread and the thread of a console session: a Linux guest in virtual time that somebody types at. Plain data.

import type { VmExit } from '@guestyard/management'

/** What comes from outside, in front of which of the engine's turns: all that a session's bytes depend on beside its settings. */
export type SessionInput = { readonly turn: number } & SessionCommand

export type SessionCommand =
  /** Typed at the console. */
  | { readonly is: 'keys'; readonly bytes: Uint8Array }
  /** A shell script, beside the console. */
  | { readonly is: 'exec'; readonly script: string }
  /** The machine is turned off. */
  | { readonly is: 'leave' }

export interface SessionSettings {
  readonly seed: number
  readonly memoryBytes: number
  readonly append: string
  /** Where the fetched guest is. */
  readonly folder: string
}

/** `workerData` of a session's thread. */
export interface SessionTask extends SessionSettings {
  /** The inputs of a session before, in their order: it is replayed, and goes as fast as it can. Null: a live one, at the pace of real time. */
  readonly recorded: readonly SessionInput[] | null
}

/** How a session ended, and what has to be the same when it is replayed. */
export interface SessionEnd {
  readonly exit: VmExit
  readonly turns: number
  readonly virtualMs: number
}

export type SessionMessage =
  | { readonly is: 'started' }
  | { readonly is: 'console'; readonly bytes: Uint8Array }
  /** A live input, as it was taken up. */
  | { readonly is: 'input'; readonly input: SessionInput }
  | { readonly is: 'ended'; readonly end: SessionEnd }
