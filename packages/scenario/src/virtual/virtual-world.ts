// One virtual machine room: the engine, and who runs in it. Every program has an asynchronous context of its own, which its
// continuations carry along: so a timer, a random number or a stray error is known to be its.

import { AsyncLocalStorage } from 'node:async_hooks'

import { SeededRandom, VirtualClock, VirtualEngine } from '@guestyard/engine/virtual'
import type { Machine } from '@guestyard/engine'
import type { CostModel, VirtualActor } from '@guestyard/engine/virtual'
import { createPortLogger } from '@guestyard/engine/node'
import type { LogLevel, LogPort, PortLogger } from '@guestyard/engine/node'
import type { Trace } from '@guestyard/trace'

import { describeThrown } from './describe-thrown.ts'
import { ModuleCopies } from './module-copies.ts'
import { installVirtualGlobals } from './virtual-globals.ts'
import { NodeVirtualPlatform } from './virtual-platform.ts'

/** A program and what it may touch: a guest's, or the scenario's own. */
export interface ProgramContext {
  readonly actor: VirtualActor
  readonly random: SeededRandom
  /** Something of it threw where nobody could catch it. */
  failed(error: unknown): void
  /** It called `process.exit`. */
  exited(code: number): void
}

export interface WorldOptions {
  readonly seed: number
  readonly costs: CostModel
  /** Makes the trace, given the machine's clock. */
  readonly trace: (nowNs: () => number) => Trace | null
  readonly timeLimitMs: number
  readonly log: { readonly level: LogLevel; readonly write: (line: string) => void }
  readonly onTurn: ((turn: number, actor: number) => void) | null
  readonly onLoop: (() => void) | null
  /** Milliseconds of real time for which an answer of the real world may take. */
  readonly patienceMs: number
}

/** Something the scenario waits for. */
export interface Waiting {
  readonly what: string
  readonly sinceNs: number
}

/** Thrown by `process.exit`: it unwinds the program, and nobody hears of it. */
class ProgramExit extends Error {}

export class VirtualWorld {
  readonly clock: VirtualClock = new VirtualClock()
  readonly engine: VirtualEngine
  readonly trace: Trace | null
  readonly modules: ModuleCopies = new ModuleCopies()
  /** The scenario and the management service. */
  readonly host: VirtualActor
  readonly #options: WorldOptions
  readonly #platform: NodeVirtualPlatform
  readonly #programs: AsyncLocalStorage<ProgramContext> = new AsyncLocalStorage()
  readonly #hostProgram: ProgramContext
  readonly #waiting: Set<Waiting> = new Set()
  /** By control port: when the latest message arrives. */
  readonly #lastArrivals: Map<number, number> = new Map()
  readonly #uninstall: () => void
  readonly #onStray: (error: unknown) => void
  #programCount = 0
  /** Told what the scenario's own code threw where nobody could catch it. */
  onFailure: (error: unknown) => void = () => {}

  constructor(options: WorldOptions) {
    this.#options = options
    this.#platform = new NodeVirtualPlatform({
      onLoop: options.onLoop,
      patienceMs: options.patienceMs,
      onStalled: (what) => {
        const waited = `for ${options.patienceMs / 1000} s of real time`
        this.onFailure(new Error(`virtual time stood ${waited}, waiting for ${what}`))
      },
    })
    this.trace = options.trace(() => this.clock.nowNs)
    this.engine = new VirtualEngine({
      clock: this.clock,
      platform: this.#platform,
      seed: options.seed,
      costs: options.costs,
      trace: this.trace,
      timeLimitMs: options.timeLimitMs,
      ...(options.onTurn === null ? {} : { onTurn: options.onTurn }),
    })
    this.host = this.engine.addActor({
      name: 'host',
      kind: 'host',
      machine: idleMachine,
      onError: (error) => this.onFailure(error),
    })
    this.#hostProgram = {
      actor: this.host,
      random: this.newRandom(),
      failed: (error) => this.onFailure(error),
      exited: (code) => this.onFailure(new Error(`the scenario called process.exit(${code})`)),
    }
    this.#onStray = (error) => {
      if (!(error instanceof ProgramExit)) this.#program().failed(error)
    }
    process.on('uncaughtException', this.#onStray)
    process.on('unhandledRejection', this.#onStray)
    this.#uninstall = installVirtualGlobals({
      nowNs: () => this.clock.nowNs,
      owner: () => ownerOf(this.#program().actor),
      random: () => this.#program().random,
      bind: (run) => AsyncLocalStorage.bind(run),
      hold: (what, promise) => this.#platform.hold(what, promise),
      exit: (code) => {
        this.#program().exited(code)
        throw new ProgramExit(`process.exit(${code})`)
      },
    })
  }

  /** A generator of its own for each program, so that what one draws does not change what another gets. */
  newRandom(): SeededRandom {
    this.#programCount += 1
    return new SeededRandom((this.#options.seed + this.#programCount * 0x9e37_79b9) % 2 ** 32)
  }

  /** Runs something as a program: what it begins belongs to that program. */
  runAs<T>(program: ProgramContext, run: () => T): T {
    return this.#programs.run(program, run)
  }

  /** Lines go to the run's log. `through`: by way of a port that lets only so many pass. */
  logger(
    bindings: Readonly<Record<string, string | number>>,
    through: (port: LogPort) => LogPort = (port) => port,
  ): PortLogger {
    const { level, write } = this.#options.log
    return createPortLogger(through({ postMessage: write }), level, bindings)
  }

  /**
   * Asks an actor something, as the scenario does over a control port: the question travels, runs in the actor's turn as
   * `program`, and the answer travels back. It stays open when the actor is no more.
   */
  ask<T>(
    actor: VirtualActor,
    program: ProgramContext | null,
    run: () => T | Promise<T>,
  ): Promise<T> {
    const answer = Promise.withResolvers<T>()
    const reply = (settle: () => void): void => this.#send(actor, this.host, settle)
    const answerIt = async (): Promise<void> => {
      try {
        const value = await run()
        reply(() => answer.resolve(value))
      } catch (error) {
        if (!(error instanceof ProgramExit)) reply(() => answer.reject(error))
      }
    }
    this.#send(this.host, actor, () => {
      void (program === null ? answerIt() : this.runAs(program, answerIt))
    })
    return answer.promise
  }

  /** The promise, which the real world answers: virtual time stands until it settles. */
  hold<T>(what: string, promise: Promise<T>): Promise<T> {
    return this.#platform.hold(what, promise)
  }

  /** No turn is taken until the promise settles, and none of this thread's time either. In virtual time nothing happens. */
  rest(promise: Promise<void>): void {
    this.#platform.rest(promise)
  }

  /** The promise, known as something that the scenario waits for until it settles. */
  async waitingFor<T>(what: string, promise: Promise<T>): Promise<T> {
    const waiting: Waiting = { what, sinceNs: this.clock.nowNs }
    this.#waiting.add(waiting)
    try {
      return await promise
    } finally {
      this.#waiting.delete(waiting)
    }
  }

  get waiting(): readonly Waiting[] {
    return [...this.#waiting]
  }

  /** The real world is not waited for any more: what goes on can only be the end. */
  giveUp(): void {
    this.#platform.giveUp()
  }

  /** The thread is as it was. */
  dispose(): void {
    this.#uninstall()
    this.modules.dispose()
    process.off('uncaughtException', this.#onStray)
    process.off('unhandledRejection', this.#onStray)
    this.#platform.dispose()
  }

  /** What somebody threw, as text that is the same on every machine. */
  describe(thrown: unknown, fileUrl: string | null): string {
    return describeThrown(thrown, fileUrl)
  }

  /** On a control port: messages take their time, and none overtakes another. */
  #send(from: VirtualActor, to: VirtualActor, deliver: () => void): void {
    const { nowNs } = this.clock
    const port = from.id * 65_536 + to.id
    const dueNs = nowNs + this.engine.latency(this.engine.costs.control)
    const arrivesNs = Math.max(dueNs, this.#lastArrivals.get(port) ?? 0)
    this.#lastArrivals.set(port, arrivesNs)
    to.post(arrivesNs - nowNs, deliver)
  }

  #program(): ProgramContext {
    return this.#programs.getStore() ?? this.#hostProgram
  }
}

const idleMachine: Machine = {
  poll: () => 0,
  arm: () => false,
  disarm() {},
  nextDeadlineMs: () => Infinity,
}

function ownerOf(actor: VirtualActor): { after(ns: number, run: () => void): () => void } {
  return { after: (ns, run) => actor.post(ns, run) }
}
