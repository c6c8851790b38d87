// What travels between the main thread and a thread that runs a scenario in virtual time. Plain data.

import type { MessagePort } from 'node:worker_threads'
import type { LogLevel } from '@guestyard/engine/node'

import type { RunReport } from '../run-scenario.ts'

/** A guest that took the processor and never gave it back, as a run before found out: whose turn, and which. */
export interface Hang {
  readonly turn: number
  readonly actor: number
}

/** One run of one scenario with one seed. */
export interface VirtualJob {
  /** Path of the scenario's file. */
  readonly path: string
  readonly seed: number
  /** Costs that differ from the declared ones, in nanoseconds. */
  readonly costs: Readonly<Record<string, number>>
  /** File for the trace, or null. */
  readonly trace: string | null
  /** File for the log, or null. */
  readonly log: { readonly path: string; readonly level: LogLevel } | null
  readonly timeLimitMs: number
}

/** A job on its way to its thread. */
export interface VirtualTask extends VirtualJob {
  readonly hangs: readonly Hang[]
  /** Milliseconds of real time for which virtual time may stand. */
  readonly patienceMs: number
  /** Where progress goes, and where an interruption comes from. */
  readonly port: MessagePort
  /** Signs of life, as `heartbeat.ts` lays them out. */
  readonly heartbeat: SharedArrayBuffer
}

/** What a thread says while it runs. */
export type VirtualMessage =
  | { readonly is: 'update'; readonly text: string }
  | { readonly is: 'line'; readonly text: string }

/** How a run ended. */
export type VirtualOutcome =
  /** `traceProblem`: why the trace is not whole; `null`: it is, or none was asked for. */
  | { readonly ok: true; readonly report: RunReport; readonly traceProblem: string | null }
  /** The caller gave something wrong; nothing was started. */
  | { readonly ok: false; readonly where: string; readonly problem: string }
