// Exits between the root and the devices of a worker process. One message each way carries an exit and its answer: the answer to one asks
// for the next.

import type { ExitAnswer, LineChange, VpExit } from '@guestyard/root-partition/worker-protocol'

import type { EmulatedMachine } from './machine.ts'

/** What it needs of the root, over a port: see `RootServices`. */
export interface ExitServices {
  exchangeExits(
    partitionId: number,
    lines: readonly LineChange[],
    answers: readonly ExitAnswer[],
  ): Promise<readonly VpExit[]>
  setLines(partitionId: number, lines: readonly LineChange[]): Promise<void>
}

/** Answers a partition's exits until the partition is gone. Rejects when the root does. */
export async function serveExits(
  root: ExitServices,
  partitionId: number,
  machine: EmulatedMachine,
  work: DeviceWork,
): Promise<void> {
  let answers: readonly ExitAnswer[] = []
  try {
    for (;;) {
      const exits = await root.exchangeExits(partitionId, machine.takeLines(), answers)
      if (exits.length === 0) return
      answers = exits.map((exit) => ({
        vp: exit.vp,
        sequence: exit.sequence,
        answer: machine.answer(exit),
      }))
      work.look()
    }
  } finally {
    work.stop()
  }
}

/** Polls devices that work on by themselves: in turns of the event loop, at their deadlines, and when they are woken. */
export class DeviceWork {
  readonly #root: ExitServices
  readonly #partitionId: number
  readonly #machine: EmulatedMachine
  #turn: NodeJS.Immediate | null = null
  #timer: NodeJS.Timeout | null = null
  #isOver = false

  constructor(root: ExitServices, partitionId: number, machine: EmulatedMachine) {
    this.#root = root
    this.#partitionId = partitionId
    this.#machine = machine
  }

  /** Something of a device has ended: from the event loop. */
  readonly wake = (): void => {
    if (this.#isOver || this.#turn !== null) return
    this.#turn = setImmediate(() => {
      this.#turn = null
      this.#poll()
    })
  }

  /** An access may have begun something. */
  look(): void {
    if (this.#isOver) return
    if (this.#machine.hasWork) this.wake()
    if (this.#timer !== null) clearTimeout(this.#timer)
    this.#timer = null
    const deadline = this.#machine.nextDeadlineMs()
    if (deadline === Number.POSITIVE_INFINITY) return
    const inMs = Math.max(0, deadline - performance.now())
    this.#timer = setTimeout(() => this.#poll(), inMs)
  }

  /** The VM is over. */
  stop(): void {
    this.#isOver = true
    if (this.#turn !== null) clearImmediate(this.#turn)
    if (this.#timer !== null) clearTimeout(this.#timer)
  }

  #poll(): void {
    if (this.#isOver) return
    this.#machine.poll()
    const lines = this.#machine.takeLines()
    // A root that is gone ends the VM by other ways.
    if (lines.length > 0) this.#root.setLines(this.#partitionId, lines).catch(() => {})
    this.look()
  }
}
