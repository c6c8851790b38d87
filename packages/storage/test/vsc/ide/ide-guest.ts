// The driver of a script guest on a controller, in one thread: every access goes to the controller, is counted, and comes back later.

import { GuestMemory } from '@guestyard/guestmem'
import { IdeController, type PacketTarget } from '@guestyard/storage/ide'
import type { Disk } from '@guestyard/storage'
import { IdeDriver, StepKind, type GuestPorts, type PortStep } from '@guestyard/storage/vsc/ide'
import { StorRequest, type StorUnit } from '@guestyard/storage/vsc'

const RAM_BYTES = 1024 * 1024
const PAGE = 4096

export class IdeGuest implements GuestPorts {
  readonly memory: GuestMemory = GuestMemory.create({ sizeBytes: RAM_BYTES })
  readonly controller: IdeController
  readonly driver: IdeDriver
  units: readonly StorUnit[] | null = null
  reads = 0
  writes = 0
  /** Changes what the controller answers. */
  tamper: ((port: number, value: number) => number) | null = null
  #waiting: (() => void)[] = []

  constructor(
    drives: { readonly disk?: Disk; readonly second?: Disk; readonly dvd?: PacketTarget },
    transfers: 'dma' | 'pio' = 'dma',
  ) {
    this.controller = new IdeController({
      memory: {
        memory: this.memory,
        translate: (page) => (page < RAM_BYTES / PAGE ? page : -1),
      },
      onLine: (channel, asserted) => {
        if (asserted && channel === 0) this.#waiting.push(() => this.driver.interrupted())
      },
    })
    const { disk, second, dvd } = drives
    if (disk !== undefined) this.controller.attachDisk({ channel: 0, device: 0 }, disk)
    if (second !== undefined) this.controller.attachDisk({ channel: 0, device: 1 }, second)
    if (dvd !== undefined) this.controller.attachDvd({ channel: 0, device: 1 }, dvd)
    this.driver = new IdeDriver({
      ports: this,
      ram: this.memory,
      channel: 0,
      scratchPfn: 1,
      transfers,
      onUnits: (units) => {
        this.units = units
      },
    })
  }

  access(step: PortStep, ended: (value: number) => void): void {
    const { kind, port, size, value } = step
    this.#waiting.push(() => {
      if (kind === StepKind.OUT) {
        this.writes += 1
        this.controller.write(port, size, value)
        this.#settle()
        return ended(0)
      }
      this.reads += 1
      const read = this.controller.read(port, size)
      this.#settle()
      ended(this.tamper?.(port, read) ?? read)
    })
  }

  /** Runs until nothing is under way, or `limit` accesses and interrupts. */
  run(limit = 1_000_000): void {
    for (let done = 0; done < limit; done++) {
      const next = this.#waiting.shift()
      if (next === undefined) return
      next()
    }
  }

  start(): readonly StorUnit[] {
    this.driver.start()
    this.run()
    return this.units ?? []
  }

  /** A request whose command `fill` sets, run to its end. */
  request(fill: (request: StorRequest) => void, gpa = 0x1_0000, lengthBytes = 0): StorRequest {
    const request = new StorRequest(65, () => {})
    request.setData(gpa, lengthBytes)
    fill(request)
    this.reads = 0
    this.writes = 0
    this.driver.submit(request, 0)
    this.run()
    return request
  }

  #settle(): void {
    while (this.controller.hasWork) this.controller.poll(16)
  }
}
