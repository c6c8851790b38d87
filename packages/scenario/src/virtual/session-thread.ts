// The thread of a console session, which is the session's alone: its globals are virtual. Started by `console-session.ts`.

import { parentPort, workerData, type MessagePort } from 'node:worker_threads'

import { costModel } from '@guestyard/engine/virtual'

import { Pace } from './pace.ts'
import type {
  SessionCommand,
  SessionEnd,
  SessionInput,
  SessionMessage,
  SessionTask,
} from './session-protocol.ts'
import { VirtualHost } from './virtual-host.ts'
import type { VirtualVm } from './virtual-vm.ts'
import { VirtualWorld } from './virtual-world.ts'

/** A session ends when its machine does, not by the clock. */
const TIME_LIMIT_MS = 60 * 86_400_000
const PATIENCE_MS = 60_000

class Session {
  readonly #task: SessionTask
  readonly #port: MessagePort
  readonly #world: VirtualWorld
  readonly #vm: VirtualVm
  readonly #pace: Pace
  readonly #broken: PromiseWithResolvers<never> = Promise.withResolvers()
  /** Live: what has come and is not taken up. */
  readonly #queue: SessionCommand[] = []
  #replayed = 0

  constructor(task: SessionTask, port: MessagePort) {
    const { seed, memoryBytes, folder, append } = task
    this.#task = task
    this.#port = port
    // Before the clocks are virtual.
    this.#pace = new Pace()
    this.#world = new VirtualWorld({
      seed,
      costs: costModel(),
      trace: () => null,
      timeLimitMs: TIME_LIMIT_MS,
      log: { level: 'silent', write: () => {} },
      onTurn: (turn) => this.#takeUp(turn),
      onLoop: null,
      patienceMs: PATIENCE_MS,
    })
    this.#world.onFailure = (error) => this.#broken.reject(error)
    this.#broken.promise.catch(() => {})
    const host = new VirtualHost(this.#world, {})
    const linux = { folder, append, shell: true, generation: 2 } as const
    this.#vm = host.createVm({ name: 'linux', memoryBytes, linux })
    port.on('message', (command: SessionCommand) => {
      this.#queue.push(command)
      this.#pace.hurry()
    })
  }

  /** Rejects with what is wrong with the guest, or with us. */
  async run(): Promise<void> {
    const { engine, host } = this.#world
    const done = Promise.withResolvers<void>()
    host.post(0, () => {
      Promise.race([this.#live(), this.#broken.promise])
        .then(done.resolve, done.reject)
        .finally(() => engine.stop())
    })
    try {
      const end = await engine.run()
      if (end !== 'stopped') throw new Error(`the session came to its end by itself: ${end}`)
      await done.promise
    } finally {
      this.#world.dispose()
      this.#port.close()
    }
  }

  async #live(): Promise<void> {
    const { engine, clock } = this.#world
    await this.#vm.start()
    this.#say({ is: 'started' })
    this.#keepPace()
    await this.#printConsole()
    const exit = await this.#vm.exit
    const end: SessionEnd = { exit, turns: engine.turns, virtualMs: clock.nowMs }
    this.#say({ is: 'ended', end })
  }

  async #printConsole(): Promise<void> {
    try {
      for (;;) {
        const bytes = (await this.#vm.call('console-read')) as Uint8Array | null
        if (bytes === null) return
        this.#say({ is: 'console', bytes })
      }
    } catch {
      // The machine is gone, and its end says why.
    }
  }

  /** Before each turn: what has come from outside, or had come before this one when it was recorded. */
  #takeUp(turn: number): void {
    const { recorded } = this.#task
    if (recorded === null) {
      for (const command of this.#queue.splice(0)) {
        const input: SessionInput = { turn, ...command }
        this.#say({ is: 'input', input })
        this.#apply(input)
      }
      return
    }
    for (;;) {
      const input = recorded[this.#replayed]
      if (input === undefined || input.turn !== turn) return
      this.#replayed += 1
      this.#apply(input)
    }
  }

  #apply(input: SessionInput): void {
    // What reaches a machine that ends goes nowhere.
    switch (input.is) {
      case 'keys':
        this.#vm.call('console-write', input.bytes).catch(() => {})
        return
      case 'exec':
        this.#vm.exec(input.script).catch(() => {})
        return
      case 'leave':
        void this.#vm.turnOff()
    }
  }

  /** An event in virtual time, live and replayed alike; only a live session rests there. */
  #keepPace(): void {
    const { host, clock } = this.#world
    host.post(Pace.PERIOD_NS, () => this.#keepPace())
    if (this.#task.recorded !== null) return
    const rest = this.#pace.restAt(clock.nowMs)
    if (rest !== null) this.#world.rest(rest)
  }

  #say(message: SessionMessage): void {
    this.#port.postMessage(message)
  }
}

if (parentPort !== null) void new Session(workerData as SessionTask, parentPort).run()
