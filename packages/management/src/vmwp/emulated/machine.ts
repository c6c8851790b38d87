// The devices that a VM's worker process emulates, and what they have to say to the root: an answer for each access, and interrupt
// lines that go up and down. Whoever carries accesses calls `answer`, and hands over what `takeLines` has before the answer.

import type {
  EmulatedRanges,
  LineChange,
  VpAnswer,
  VpExit,
} from '@guestyard/root-partition/worker-protocol'

import { DeviceBus } from './device-bus.ts'
import { POST_PORT, PostPort } from './post-port.ts'
import { COM1, SERIAL_REGISTERS, SerialPort } from './serial-port.ts'

/** The serial port's registers in memory, a byte each: for guests that have no port instructions. */
const SERIAL_MEMORY = 0xfed0_3000

const NO_LINES: readonly LineChange[] = []

/** A device that works on when nobody touches it. */
export interface WorkingDevice {
  /** Goes on with what was begun, a part of it. True: there is more to do at once. */
  poll(): boolean
  /** When it must be polled though nobody wakes it, of the clock that it was given; Infinity: never. */
  nextDeadlineMs(): number
}

/** One VM's. Its worker process's thread only. */
export class EmulatedMachine {
  readonly bus: DeviceBus = new DeviceBus()
  readonly #working: WorkingDevice[] = []
  #lines: LineChange[] = []
  /** After `answer` and `poll`: there is more for `poll` to do at once. */
  hasWork = false

  /** The POST port, and a serial port whose lines go to `onText`. */
  constructor(onText: (line: string) => void) {
    const serial = new SerialPort(onText)
    this.bus.atPorts(POST_PORT, 1, new PostPort())
    this.bus.atPorts(COM1, SERIAL_REGISTERS, serial)
    this.bus.atMemory(SERIAL_MEMORY, SERIAL_REGISTERS, serial)
  }

  /** Where the root is to intercept. */
  get ranges(): EmulatedRanges {
    return this.bus.ranges
  }

  addWorking(device: WorkingDevice): void {
    this.#working.push(device)
  }

  /** A device's interrupt line has changed. */
  readonly setLine = (line: number, asserted: boolean): void => {
    this.#lines.push({ line, asserted })
  }

  /** Does what a VP did to a device, and the first part of what that begins. */
  answer(exit: VpExit): VpAnswer {
    const answer = this.bus.answer(exit)
    this.poll()
    return answer
  }

  /** Goes on with what devices have begun. True: there is more to do at once. */
  poll(): boolean {
    this.hasWork = false
    for (const device of this.#working) if (device.poll()) this.hasWork = true
    return this.hasWork
  }

  nextDeadlineMs(): number {
    return this.#working.reduce(
      (earliest, device) => Math.min(earliest, device.nextDeadlineMs()),
      Number.POSITIVE_INFINITY,
    )
  }

  /** Lines that have changed since the last time, in order. */
  takeLines(): readonly LineChange[] {
    const lines = this.#lines
    if (lines.length === 0) return NO_LINES
    this.#lines = []
    return lines
  }
}
