// GPA-direct packets through both ends: the device reaches the pages that a packet names from the packet until its
// completion, for what the request is, and neither before nor after.

import { PACKET_TYPE_COMPLETION, PACKET_TYPE_DATA_INBAND } from '@guestyard/hvdef'
import {
  PageRangeStatus,
  PageRangeTable,
  PageRangeWalker,
  SlatReader,
  SlatRight,
  encodePageRange,
  parsePageRanges,
} from '@guestyard/guestmem'
import type { Channel, ChannelProgram } from '@guestyard/vmbus'
import type { ClientChannel } from '@guestyard/vmbus/client'
import type { OpenOutcome, ServerChannel, VspDevice } from '@guestyard/vmbus/server'
import { createLoopback, type Loopback } from '@guestyard/vmbus/testing'
import { describe, expect, test } from 'vitest'
import { nth } from './support/fake-device.ts'

const PAGE = 4096
const OK = 0
const REFUSED = 1

/** A disk of one byte: a request fills the pages that it names with it, when the test says so. */
class Filler implements ChannelProgram, VspDevice {
  channel: ServerChannel | null = null
  /** Requests that are not complete, in order. */
  readonly requests: { readonly table: PageRangeTable; readonly tid: number }[] = []
  walker: PageRangeWalker | null = null

  open(channel: ServerChannel): OpenOutcome {
    this.channel = channel
    return this
  }

  poll(budget: number): number {
    const { incoming, domain } = this.channel!
    const count = incoming.drain(budget)
    for (let i = 0; i < count; i += 1) {
      const table = new PageRangeTable({ maxRanges: 4, maxPages: 64 })
      const status = parsePageRanges(
        incoming.arenaView,
        incoming.rangesAt(i),
        incoming.rangesLength(i),
        incoming.rangeCount(i),
        table,
      )
      const mapped = status === PageRangeStatus.OK && domain.mapRanges(table, SlatRight.WRITE)
      if (mapped) this.requests.push({ table, tid: incoming.tidLow(i) })
      else this.answer(incoming.tidLow(i), REFUSED)
    }
    if (incoming.commit()) this.channel!.signal()
    return count > 0 ? count : 0
  }

  /** Fills what the oldest request names. Bytes written. */
  fill(byte: number, table = this.requests[0]!.table): number {
    const { domain } = this.channel!
    this.walker = new PageRangeWalker(table)
    this.walker.begin(domain, SlatRight.WRITE, 0, table.rangeCount, 0, table.totalBytes)
    let written = 0
    while (this.walker.next()) {
      domain.memory.fill(this.walker.address, byte, this.walker.lengthBytes)
      written += this.walker.lengthBytes
    }
    return written
  }

  /** The oldest request is complete: its pages are the guest's alone. */
  complete(): PageRangeTable {
    const { table, tid } = this.requests.shift()!
    this.channel!.domain.unmapRanges(table, SlatRight.WRITE)
    this.answer(tid, OK)
    return table
  }

  answer(tid: number, status: number): void {
    const { outgoing } = this.channel!
    outgoing.stagingWords[0] = status
    outgoing.stagingWords[1] = 0
    outgoing.write(0, 8, PACKET_TYPE_COMPLETION, 0, tid, 0)
    if (outgoing.commit()) this.channel!.signal()
  }

  arm(): boolean {
    return this.channel!.incoming.unmask()
  }

  disarm(): void {
    this.channel!.incoming.mask()
  }

  /** What was not complete is unmapped with the channel. */
  close(): void {
    for (const { table } of this.requests.splice(0)) {
      this.channel!.domain.unmapRanges(table, SlatRight.WRITE)
    }
  }
}

/** The guest's end: completions by transaction. */
class Requester implements ChannelProgram {
  readonly #channel: Channel
  readonly completed: Map<number, number> = new Map()

  constructor(channel: Channel) {
    this.#channel = channel
  }

  request(tid: number, pfns: readonly number[], offset = 0, length = pfns.length * PAGE): void {
    const { outgoing } = this.#channel
    const view = new DataView(outgoing.staging.buffer, outgoing.staging.byteOffset)
    const bytes = encodePageRange(view, 8, offset, length, pfns)
    outgoing.writeGpaDirect(0, 1, bytes, 8, 1, tid, 0)
    if (outgoing.commit()) this.#channel.signal()
  }

  poll(budget: number): number {
    const { incoming } = this.#channel
    const count = incoming.drain(budget)
    for (let i = 0; i < count; i += 1) {
      this.completed.set(incoming.tidLow(i), incoming.arenaWords[incoming.payloadAt(i) >> 2]!)
    }
    if (incoming.commit()) this.#channel.signal()
    return count > 0 ? count : 0
  }

  arm(): boolean {
    return this.#channel.incoming.unmask()
  }

  disarm(): void {
    this.#channel.incoming.mask()
  }

  close(): void {}
}

interface Subject {
  readonly loop: Loopback
  readonly device: Filler
  readonly guest: Requester
  readonly channel: ClientChannel
}

function subject(): Subject {
  const loop = createLoopback({ memoryBytes: 1024 * 1024 })
  const device = new Filler()
  loop.server.offer(nth(1), device)
  loop.client.connect()
  loop.pump()
  const [offer] = loop.client.offers()
  let guest: Requester | null = null
  const channel = loop.client.open(
    offer!,
    { sendBytes: 4 * PAGE, receiveBytes: 4 * PAGE },
    {
      opened(open) {
        guest = new Requester(open)
        return guest
      },
    },
  )
  loop.pump()
  return { loop, device, guest: guest!, channel: channel! }
}

/** Pages of both rings, control pages included: what is mapped while nothing is asked for. */
const RING_PAGES = 10
/** No ring lies here. */
const TOP = 100

describe('a GPA-direct request', () => {
  test('is reached from its packet until its completion, and not after', () => {
    const { loop, device, guest } = subject()
    guest.request(5, [TOP - 1, TOP - 3], 16, 2 * PAGE - 32)
    loop.pump()
    expect(device.fill(7)).toBe(2 * PAGE - 32)
    expect(loop.memory.u8[(TOP - 1) * PAGE + 15]).toBe(0)
    expect(loop.memory.u8[(TOP - 1) * PAGE + 16]).toBe(7)
    const table = device.complete()
    loop.pump()
    expect([...guest.completed]).toEqual([[5, OK]])
    expect(device.fill(9, table)).toBe(0)
    expect(loop.memory.u8[(TOP - 1) * PAGE + 16]).toBe(7)
    const { iommu } = loop.server.inspect()
    expect(iommu).toMatchObject({
      faults: 1,
      latestFaults: [{ gpa: (TOP - 1) * PAGE, access: SlatRight.WRITE, reason: 'not-mapped' }],
    })
    expect(iommu.domains[0]?.mappedPages).toBe(RING_PAGES)
  })

  test('that shares a page with another is reached until the last of them is complete', () => {
    const { loop, device, guest } = subject()
    guest.request(1, [TOP, TOP - 1])
    guest.request(2, [TOP])
    loop.pump()
    const first = device.complete()
    expect(device.fill(1, first)).toBe(PAGE)
    device.complete()
    expect(device.fill(2, first)).toBe(0)
  })

  test.each<[string, (loop: Loopback) => void]>([
    ['a hole', ({ iommu }) => void iommu.slat.unmap(TOP, 1)],
    ['device registers', ({ iommu }) => void iommu.slat.mapMmio(TOP, 1, 1)],
    ['a page the guest may only read', ({ iommu }) => void iommu.slat.protect(TOP, 1, 1)],
    ['a page of messages', ({ iommu }) => new SlatReader(iommu.slat.buffer).setOverlay(0, 0, TOP)],
  ])('that names %s is refused, and no byte of it is written', (_, change) => {
    const { loop, device, guest } = subject()
    change(loop)
    guest.request(3, [TOP - 1, TOP])
    loop.pump()
    expect([...guest.completed]).toEqual([[3, REFUSED]])
    expect(device.requests).toEqual([])
    expect(
      loop.memory.u8.subarray((TOP - 1) * PAGE, (TOP + 1) * PAGE).every((byte) => byte === 0),
    ).toBe(true)
  })

  test('stops before a page that is lost while it runs', () => {
    const { loop, device, guest } = subject()
    guest.request(4, [TOP - 2, TOP - 1, TOP])
    loop.pump()
    loop.iommu.slat.unmap(TOP - 1, 1)
    expect(device.fill(3)).toBe(PAGE)
    expect(device.walker?.outside).toBe(true)
    device.complete()
    expect(loop.iommu.inspect().domains[0]?.mappedPages).toBe(RING_PAGES)
  })

  test('that names the pages of its own ring costs that channel, and nothing else', () => {
    const { loop, device, guest, channel } = subject()
    guest.request(6, Array.from(channel.pfns).slice(0, 4))
    loop.pump()
    expect(device.fill(0xff)).toBe(4 * PAGE)
    device.complete()
    for (let turn = 0; turn < 20; turn += 1) {
      loop.server.receiveSignal(channel.relid)
      loop.server.poll(64)
    }
    expect(loop.server.inspect().connection).toBe('connected')
  })

  test('is forgotten when its channel closes', () => {
    const { loop, device, guest, channel } = subject()
    guest.request(8, [TOP])
    loop.pump()
    const { table } = device.requests[0]!
    loop.client.close(channel)
    loop.pump()
    expect(device.fill(1, table)).toBe(0)
    expect(loop.iommu.inspect().domains[0]?.mappedPages).toBe(0)
  })
})

test('data packets go on beside requests', () => {
  const { loop, device, channel } = subject()
  channel.outgoing.write(0, 8, PACKET_TYPE_DATA_INBAND, 0, 1, 0)
  if (channel.outgoing.commit()) channel.signal()
  loop.pump()
  // In-band: no ranges, so nothing that this device could fill.
  expect(device.requests).toEqual([])
})
