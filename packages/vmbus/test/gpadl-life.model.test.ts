// The life of GPADLs with the IOMMU in the picture: everything that a guest, a host and a device can do with a ring and a
// buffer, in every order up to a depth, over a real server. In every state that is met: the device reaches exactly the pages
// that the guest has reason to think it reaches, and what was promised to be over is over. From every state the guest can
// leave, and then nothing is left.

import { GpadlBodyMessage, VmbusMessageType } from '@guestyard/hvdef'
import { GuestMemory, SlatRight, type DmaDomain } from '@guestyard/guestmem'
import { expect, test } from 'vitest'
import type { MappedGpadl, Offer, ServerChannel } from '@guestyard/vmbus/server'
import { FakeDevice, nth } from './support/fake-device.ts'
import { RawGuest, rangeOf } from './support/raw-guest.ts'

const RING = 7
const RING_PAGES = [16, 17, 18, 19]
const BUFFER = 8
const BUFFER_PAGES = [30, 31]
const PAGES = [...RING_PAGES, ...BUFFER_PAGES]
const PAGE = 4096
/** Orders up to this length are tried whether or not they lead to a state that was met before. */
const FULL_DEPTH = 3
const DEPTH = 8
/** Where all of it happens. */
const FIRST = 16 * PAGE
const END = 32 * PAGE
const memory = GuestMemory.create({ sizeBytes: 256 * 1024 })

class World {
  readonly guest: RawGuest
  readonly device: FakeDevice = new FakeDevice()
  readonly domain: DmaDomain
  offer: Offer
  /** What the device has mapped, or had. */
  readonly handles: { readonly mapped: MappedGpadl; released: boolean }[] = []
  /** GPADLs that were acknowledged and that nothing has ended since. */
  readonly alive: Set<number> = new Set()

  constructor() {
    memory.u8.fill(0, FIRST, END)
    this.guest = new RawGuest({ memory })
    this.device.closesLater = true
    this.offer = this.guest.server.offer(nth(1), this.device)
    this.guest.connect()
    this.domain = this.guest.iommu.domain(this.guest.server.inspect().iommu.domains[0]!.device)
  }

  get relid(): number {
    return this.guest.server.inspect().channels[0]?.relid ?? 0
  }

  /** The channel that the device has and has not been told to stop. */
  get channel(): ServerChannel | undefined {
    const program = this.device.programs.at(-1)
    return program === undefined || program.closed ? undefined : program.channel
  }

  /** Reads what the host has sent, and what it promises. */
  hear(): void {
    for (const { name, fields } of this.guest.take()) {
      const id = Number(fields['gpadlId'])
      if (name === 'GPADL_CREATED' && fields['status'] === 0) this.alive.add(id)
      else if (name === 'GPADL_TORNDOWN') this.alive.delete(id)
      else if (name === 'VERSION_RESPONSE' || name === 'UNLOAD_RESPONSE') this.alive.clear()
      // The id is new, or free again: what the guest had of the channel before is gone.
      else if (name === 'OFFERCHANNEL') this.alive.clear()
    }
  }
}

const OPERATIONS = {
  'ring header': ({ guest, relid }) => {
    const data = rangeOf(RING_PAGES)
    const counts = { rangeBytes: data.length, rangeCount: 1 }
    guest.gpadlHeader(relid, RING, counts, data.slice(0, 16))
  },
  'ring body': ({ guest }) => {
    const head = GpadlBodyMessage.pack({
      messageType: VmbusMessageType.GPADL_BODY,
      messageNumber: 1,
      gpadlId: RING,
    })
    guest.post(Uint8Array.from([...head, ...rangeOf(RING_PAGES).slice(16)]))
  },
  buffer: ({ guest, relid }) => guest.gpadl(relid, BUFFER, BUFFER_PAGES),
  'ring teardown': ({ guest, relid }) => guest.teardown(relid, RING),
  'buffer teardown': ({ guest, relid }) => guest.teardown(relid, BUFFER),
  open: ({ guest, relid }) => guest.open(relid, RING),
  close: ({ guest, relid }) => guest.close(relid),
  release: ({ guest, relid }) => guest.release(relid),
  contact: ({ guest }) => {
    guest.contact()
    guest.server.poll(1)
    guest.plain(VmbusMessageType.REQUESTOFFERS)
  },
  unload: ({ guest }) => guest.plain(VmbusMessageType.UNLOAD),
  revoke: ({ offer }) => offer.revoke(),
  reoffer: (world) => {
    const [channel] = world.guest.server.inspect().channels
    if (channel !== undefined && channel.state !== 'revoked') return
    world.offer = world.guest.server.offer(nth(1), world.device)
  },
  map: ({ channel, handles }) => {
    const mapped = channel?.gpadl(BUFFER)
    if (mapped !== undefined) handles.push({ mapped, released: false })
  },
  unmap: ({ handles }) => {
    const handle = handles.find(({ released }) => !released)
    if (handle === undefined) return
    handle.released = true
    handle.mapped.release()
  },
  stop: ({ device }) => {
    const program = device.programs.find(
      (one) => one.closed && !device.stopped.includes(one.channel),
    )
    if (program === undefined) return
    device.stopped.push(program.channel)
    device.finishClose(program.channel)
  },
  'lose a ring page': ({ guest }) => void guest.slat.unmap(17, 1),
  'lose a buffer page': ({ guest }) => void guest.slat.unmap(31, 1),
} satisfies Record<string, (world: World) => void>

type Operation = keyof typeof OPERATIONS
const NAMES = Object.keys(OPERATIONS) as Operation[]

function replay(path: readonly Operation[]): World {
  const world = new World()
  for (const operation of path) {
    OPERATIONS[operation](world)
    world.hear()
  }
  return world
}

/** What can be told apart from outside, without what only counts. */
function keyOf({ guest, domain, handles, device, alive }: World): string {
  const { connection, channels, gpadls, devicesInUse } = guest.server.inspect()
  return JSON.stringify([
    connection,
    channels.map(({ state, relid }) => [state, relid > 0]),
    gpadls,
    devicesInUse,
    PAGES.map((page) => domain.peek(page, SlatRight.READ) >= 0),
    PAGES.map((page) => guest.slat.ramPage(page, SlatRight.READ) >= 0),
    handles.map(({ mapped, released }) => [released, mapped.ranges[0]!.pages.live]),
    device.programs.map((program) => [program.closed, device.stopped.includes(program.channel)]),
    [...alive].toSorted((a, b) => a - b),
  ])
}

function check(world: World, path: readonly Operation[]): void {
  const { guest, domain, handles, device, alive } = world
  const where = path.join(', ')
  // A GPADL that is over is reached no more; a page that the partition has not, never.
  for (const [id, pages] of [
    [RING, RING_PAGES],
    [BUFFER, BUFFER_PAGES],
  ] as const) {
    for (const page of pages) {
      const reached = domain.peek(page, SlatRight.WRITE) >= 0
      const mayReach = alive.has(id) && guest.slat.ramPage(page, SlatRight.WRITE) >= 0
      if (reached && !mayReach) throw new Error(`page ${page} is reached after: ${where}`)
    }
  }
  const before = memory.u8.slice(FIRST, END)
  // A device that touches what it should not: through every buffer it ever had, and through rings that are over.
  for (const { mapped } of handles) {
    const { pages } = mapped.ranges[0]!
    if (alive.has(BUFFER) && pages.live) continue
    if (pages.write(8, Uint8Array.of(1, 2, 3))) throw new Error(`written after: ${where}`)
  }
  for (const { channel } of device.programs) {
    if (alive.has(RING) && guest.slat.ramPage(17, SlatRight.READ) >= 0) continue
    channel.outgoing.send(0, 8, 6, 0, 1, 0)
    channel.outgoing.commit()
    channel.incoming.drain(1)
    channel.incoming.commit()
    channel.signal()
  }
  if (Buffer.compare(memory.u8.subarray(FIRST, END), before) !== 0) {
    throw new Error(`memory was touched after: ${where}`)
  }
}

/** However it stands, the guest leaves, and comes back to a host that has kept nothing. */
function leave(world: World, path: readonly Operation[]): void {
  const { guest, domain, device } = world
  OPERATIONS.unload(world)
  while (device.programs.some((one) => one.closed && !device.stopped.includes(one.channel))) {
    OPERATIONS.stop(world)
  }
  world.hear()
  const { gpadls, devicesInUse, relidsInUse, iommu } = guest.server.inspect()
  const mapped = iommu.domains.reduce((sum, one) => sum + one.mappedPages, 0)
  expect([path, gpadls.accepted, gpadls.listBytes, devicesInUse, relidsInUse, mapped]).toEqual([
    path,
    0,
    0,
    0,
    0,
    0,
  ])
  expect([path, domain.inUse]).toEqual([path, false])
}

test(`in every order of ${FULL_DEPTH}, and from every state met up to ${DEPTH}, no page is touched that should not be`, () => {
  const seen = new Set<string>()
  let frontier: (readonly Operation[])[] = [[]]
  for (let depth = 1; depth <= DEPTH; depth += 1) {
    const next: (readonly Operation[])[] = []
    for (const path of frontier) {
      for (const operation of NAMES) {
        const longer = [...path, operation]
        const world = replay(longer)
        check(world, longer)
        const key = keyOf(world)
        const isNew = !seen.has(key)
        // What the key cannot tell apart is told apart by the order, as long as that is short.
        if (isNew || depth < FULL_DEPTH) next.push(longer)
        if (!isNew) continue
        seen.add(key)
        leave(world, longer)
      }
    }
    frontier = next
  }
  // The model is worth something only while it meets the deep states.
  expect(seen.size).toBeGreaterThan(500)
}, 120_000)
