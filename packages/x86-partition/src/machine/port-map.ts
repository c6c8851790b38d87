// Ports that an embedder serves: ranges with a handler each, none of them where the platform has its own.

import type { AccessBytes, PortDevice } from '../processor/ports.ts'

/** What serves the ports `from` to `from + count - 1`. An access belongs to the range that its first port is in. */
export interface PortRange {
  readonly from: number
  readonly count: number
  /** IN of one, two or four bytes. What is beyond them is dropped; without it, ports read as ones. */
  read?(port: number, bytes: AccessBytes): number
  /** OUT; `value` is unsigned. Without it, writes are dropped. */
  write?(port: number, value: number, bytes: AccessBytes): void
}

const PORTS = 0x1_0000

/** Whose the ports of a machine are already. */
const PLATFORM: readonly (readonly [name: string, from: number, count: number])[] = [
  ['DMA controllers', 0x00, 0x10],
  ['first interrupt controller', 0x20, 2],
  ['interval timer', 0x40, 4],
  ['keyboard controller', 0x60, 5],
  ['real-time clock', 0x70, 2],
  ['DMA pages', 0x81, 0xf],
  ['second interrupt controller', 0xa0, 2],
  ['DMA controllers', 0xc0, 0x20],
  ['hypercall page', 0xee, 1],
  ['debug exit', 0xf4, 1],
  ['COM2', 0x2f8, 8],
  ['VGA', 0x3b0, 0x30],
  ['COM1', 0x3f8, 8],
  ['interrupt trigger modes', 0x4d0, 2],
  ['firmware configuration', 0x510, 2],
  ['PCI and reset', 0xcf8, 8],
  ['power management events', 0xafe0, 4],
  ['power management', 0xb000, 0xc],
]

/** VP's thread only. */
export class PortMap implements PortDevice {
  readonly #byPort: Map<number, PortRange> = new Map()

  /** Throws a RangeError for what are no ports, or not free. */
  constructor(ranges: readonly PortRange[]) {
    for (const range of ranges) this.add(range)
  }

  /** From now on, also while the guest runs. Throws a RangeError for what are no ports, or not free. */
  add(range: PortRange): void {
    const { from, count } = range
    const isValid = Number.isInteger(from) && Number.isInteger(count) && from >= 0 && count >= 1
    if (!isValid || from + count > PORTS) {
      throw new RangeError(`no ports: ${from}, ${count} of them`)
    }
    const owner = PLATFORM.find(([, at, many]) => from < at + many && at < from + count)
    if (owner !== undefined) {
      throw new RangeError(`ports ${name(from, count)}: the platform's ${owner[0]} is there`)
    }
    for (let port = from; port < from + count; port += 1) {
      if (!this.#byPort.has(port)) continue
      throw new RangeError(`ports ${name(from, count)}: ${hex(port)} has a handler already`)
    }
    for (let port = from; port < from + count; port += 1) this.#byPort.set(port, range)
  }

  read(port: number, bytes: AccessBytes): number | undefined {
    const range = this.#byPort.get(port)
    if (range === undefined) return undefined
    const value = range.read?.(port, bytes) ?? -1
    return bytes === 4 ? value | 0 : value & (2 ** (8 * bytes) - 1)
  }

  write(port: number, value: number, bytes: AccessBytes): boolean {
    const range = this.#byPort.get(port)
    if (range === undefined) return false
    range.write?.(port, bytes === 4 ? value >>> 0 : value & (2 ** (8 * bytes) - 1), bytes)
    return true
  }
}

function name(from: number, count: number): string {
  return count === 1 ? hex(from) : `${hex(from)} to ${hex(from + count - 1)}`
}

function hex(port: number): string {
  return `0x${port.toString(16)}`
}
