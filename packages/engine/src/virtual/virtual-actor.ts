// HOT
// One thread of the machine, as the virtual engine sees it: what it may do, when it is free again, why it is awake.
//
//   asleep ──ring, deadline, event──▶ awake ──poll did nothing──▶ spinning ──spun long enough, armed in vain──▶ asleep
//                                       ▲──ring, somebody did something, found work──┘

import type { Machine } from '../machine.ts'
import type { VirtualEvent } from './event-queue.ts'

export type ActorKind = 'root' | 'vp' | 'host'
export type ActorState = 'awake' | 'spinning' | 'asleep' | 'gone'

export interface VirtualActorOptions {
  readonly name: string
  readonly kind: ActorKind
  readonly machine: Machine
  /** How long it polls in vain before it sleeps. */
  readonly spinNs?: number
  /** May code of a guest run here now? A VP without a grant takes up no event. */
  readonly mayRun?: () => boolean
  /** Told that there is something for it to do that it may not do now. */
  readonly wantsToRun?: () => void
  /**
   * The next deadline of what the machine does again and again whatever happens, such as asking guests for signs of life; milliseconds,
   * Infinity: none. `nextDeadlineMs` has it too. A run in which nothing else is left is quiet.
   */
  readonly choreMs?: () => number
  /** Exits to the hypervisor so far. */
  readonly exits?: () => number
  /** Told what a timer's handler or a call threw. */
  readonly onError?: (error: unknown) => void
}

/** What an actor asks of the engine it belongs to. */
export interface ActorHome {
  rang(actor: VirtualActor): void
  post(actor: VirtualActor, delayNs: number, run: () => void): VirtualEvent<VirtualActor>
  remove(actor: VirtualActor): void
}

/** Made by `VirtualEngine.addActor`. The fields are the engine's. */
export class VirtualActor {
  readonly id: number
  readonly name: string
  readonly kind: ActorKind
  readonly machine: Machine
  readonly mayRun: () => boolean
  readonly wantsToRun: () => void
  readonly choreMs: () => number
  readonly exits: () => number
  readonly onError: ((error: unknown) => void) | undefined
  readonly inbox: VirtualEvent<VirtualActor>[] = []
  state: ActorState = 'awake'
  spinNs: number
  freeAtNs = 0
  spinUntilNs = -1
  /** While spinning or asleep: when its machine must be polled. */
  deadlineNs: number = Infinity
  /** While asleep: when a chore is next. */
  choreNs: number = Infinity
  /** While spinning: how much had been done by anybody when it last looked. */
  seenWork = 0
  rung = false
  cause = 0
  exitsCharged = 0
  mightRun = false
  /** Virtual time that it was busy. */
  busyNs = 0
  polls = 0
  /** What the present poll burned. */
  burnedNs = 0
  readonly #home: ActorHome

  constructor(id: number, home: ActorHome, options: VirtualActorOptions) {
    this.id = id
    this.name = options.name
    this.kind = options.kind
    this.machine = options.machine
    this.spinNs = options.spinNs ?? 0
    this.mayRun = options.mayRun ?? always
    this.wantsToRun = options.wantsToRun ?? nothing
    this.choreMs = options.choreMs ?? notAgain
    this.exits = options.exits ?? never
    this.onError = options.onError
    this.#home = home
  }

  /** Wakes it, or keeps it from falling asleep: its doorbell. */
  ring(): void {
    this.#home.rang(this)
  }

  /** Runs something on it, in its turn, `delayNs` from now at the earliest. Returns what cancels that. */
  post(delayNs: number, run: () => void): () => void {
    const event = this.#home.post(this, delayNs, run)
    return () => {
      event.cancelled = true
    }
  }

  /** From within a poll: keeps it busy for `ns` longer than the poll itself. */
  burn(ns: number): void {
    this.burnedNs += ns
  }

  /** It is no more: nothing of it runs, whatever was asked. */
  remove(): void {
    this.#home.remove(this)
  }
}

function always(): boolean {
  return true
}

function nothing(): void {}

function never(): number {
  return 0
}

function notAgain(): number {
  return Infinity
}
