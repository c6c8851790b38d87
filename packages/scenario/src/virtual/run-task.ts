// One run in virtual time, on a thread of its own: scenario, host, root and guests.

import { closeSync, openSync, writeSync } from 'node:fs'
import { basename } from 'node:path'

import { costModel } from '@guestyard/engine/virtual'
import type { VirtualEnd } from '@guestyard/engine/virtual'
import { Trace } from '@guestyard/trace'
import { createTraceFile } from '@guestyard/trace/node'
import type { TraceFile } from '@guestyard/trace/node'

import { InputError } from '../input-error.ts'
import { loadScenario } from '../load-scenario.ts'
import type { ScenarioPlan } from '../plan.ts'
import { placeIn } from '../place.ts'
import type { Progress } from '../progress.ts'
import { runScenario } from '../run-scenario.ts'
import type { RunError, RunReport } from '../run-scenario.ts'
import { describeQuiet } from './describe-quiet.ts'
import { withoutPaths } from './describe-thrown.ts'
import { Heartbeat } from './heartbeat.ts'
import { VirtualHost } from './virtual-host.ts'
import type { VirtualMessage, VirtualOutcome, VirtualTask } from './virtual-job.ts'
import { VirtualWorld } from './virtual-world.ts'

/** Virtual time that closing may take when the run has used up its own. */
const CLOSING_MS = 60_000

/** Runs the task. Rejects only for what is a bug of ours. */
export async function runTask(task: VirtualTask): Promise<VirtualOutcome> {
  const run = new VirtualRun(task)
  try {
    const report = await run.report()
    return { ok: true, report, traceProblem: run.closeTrace() }
  } catch (error) {
    if (!(error instanceof InputError)) throw error
    return { ok: false, where: error.where, problem: error.problem }
  } finally {
    run.dispose()
  }
}

class VirtualRun {
  readonly #task: VirtualTask
  readonly #world: VirtualWorld
  readonly #abort: AbortController = new AbortController()
  readonly #broken: PromiseWithResolvers<never> = Promise.withResolvers()
  readonly #log: number | null
  #traceFile: TraceFile | null = null
  #host: VirtualHost | null = null

  constructor(task: VirtualTask) {
    this.#task = task
    const heartbeat = new Heartbeat(task.heartbeat)
    const log = task.log === null ? null : openSync(task.log.path, 'w')
    this.#log = log
    this.#broken.promise.catch(ignoreUnasked)
    this.#world = new VirtualWorld({
      seed: task.seed,
      costs: costModel(task.costs),
      trace: (nowNs) => this.#openTrace(nowNs),
      timeLimitMs: task.timeLimitMs,
      log: {
        level: task.log?.level ?? 'silent',
        write: (line) => void (log !== null && writeSync(log, line)),
      },
      onTurn: (turn, actor) => {
        heartbeat.turn(turn, actor)
        this.#hangAt(turn, actor)
      },
      onLoop: () => heartbeat.loop(),
      patienceMs: task.patienceMs,
    })
    this.#world.onFailure = (error) => this.#broken.reject(error)
    task.port.on('message', () => {
      this.#world.giveUp()
      this.#abort.abort(new Error('interrupted'))
    })
  }

  /** Drives the engine until the scenario has been run and everything is closed. */
  async report(): Promise<RunReport> {
    const { engine, host } = this.#world
    const done = Promise.withResolvers<RunReport>()
    host.post(0, () => {
      this.#run()
        .then(done.resolve, done.reject)
        .finally(() => engine.stop())
    })
    let end = await engine.run()
    if (end !== 'stopped') {
      // The scenario hears of it, and what it started is closed as after any failure.
      this.#broken.reject(this.#endOf(end))
      engine.extend(CLOSING_MS)
      end = await engine.run()
      if (end !== 'stopped') throw this.#endOf(end)
    }
    return done.promise
  }

  /** Ends the trace, if there is one. Why it could not be written, or `null`. */
  closeTrace(): string | null {
    try {
      this.#traceFile?.close()
      return null
    } catch (error) {
      return error instanceof Error ? error.message : String(error)
    } finally {
      this.#traceFile = null
    }
  }

  dispose(): void {
    this.#world.dispose()
    this.closeTrace()
    if (this.#log !== null) closeSync(this.#log)
    this.#task.port.close()
  }

  async #run(): Promise<RunReport> {
    const { seed, path } = this.#task
    const world = this.#world
    const plan = await loadScenario(path, { moduleUrl: (url) => world.modules.fresh(url) })
    return runScenario(this.#guarded(plan), {
      signal: this.#abort.signal,
      progress: this.#progress(),
      environment: { engine: 'virtual', seed, costs: { ...world.engine.costs } },
      cpuMs: () => world.engine.busyNs / 1e6,
      describeError: describeVirtualError,
      startHost: async (options) => {
        this.#host = new VirtualHost(world, options)
        return this.#host
      },
    })
  }

  /** The plan, whose run also ends when nothing can run any more. */
  #guarded(plan: ScenarioPlan): ScenarioPlan {
    return {
      ...plan,
      run: async (context) => {
        await Promise.race([plan.run(context), this.#broken.promise])
      },
    }
  }

  #openTrace(nowNs: () => number): Trace | null {
    const { trace, path, seed } = this.#task
    if (trace === null) return null
    this.#traceFile = createTraceFile(trace, { scenario: basename(path), engine: 'virtual', seed })
    return new Trace(this.#traceFile.sink, nowNs)
  }

  #hangAt(turn: number, actor: number): void {
    if (!this.#task.hangs.some((hang) => hang.turn === turn)) return
    if (this.#host?.hang(actor) === true) return
    throw new Error('the scenario took the processor and did not give it back')
  }

  #endOf(end: Exclude<VirtualEnd, 'stopped'>): Error {
    return new Error(describeQuiet(end, this.#world))
  }

  #progress(): Progress {
    const say = (message: VirtualMessage): void => this.#task.port.postMessage(message)
    return {
      update: (text) => say({ is: 'update', text }),
      line: (text) => say({ is: 'line', text }),
      end: () => {},
    }
  }
}

/** As any run's error, without what belongs to the machine it ran on. */
function describeVirtualError(error: unknown, fileUrl: string | undefined): RunError {
  if (!(error instanceof Error)) {
    return { name: null, message: withoutPaths(String(error)), place: null, stack: null }
  }
  const { name, message, stack } = error
  const place =
    fileUrl === undefined || stack === undefined ? null : (placeIn(fileUrl, stack) ?? null)
  return { name, message: withoutPaths(message), place, stack: null }
}

function ignoreUnasked(): void {}
