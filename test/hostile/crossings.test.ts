// What crosses on its way: an offer that is rescinded while it opens, a GPADL torn down in use, a queue that is full; and ten
// thousand rounds of open and close, after which nobody holds more than before. Hypervisor, routes, bus and kernel are the
// real ones; only the device is the test's own, so that it can answer when the test says.

import { describe, expect, test } from 'vitest'
import { Kernel } from '@guestyard/child-partition'
import { ManualClock, SingleThread } from '@guestyard/engine'
import { GuestMemory, Iommu } from '@guestyard/guestmem'
import { Hypervisor, VirtualProcessor } from '@guestyard/hypervisor'
import { InterruptRouter, PortIds, VidPartition, WinHv } from '@guestyard/root-partition'
import type { ChannelProgram } from '@guestyard/vmbus'
import type { ClientChannel, ClientGpadl, VmbusClientEvent } from '@guestyard/vmbus/client'
import {
  VmbusServer,
  type Offer,
  type OpenOutcome,
  type ServerChannel,
  type VmbusServerEvent,
} from '@guestyard/vmbus/server'

import { EndlessLoad } from './endless-load.ts'
import { Yard, loadOfferOf } from './yard.ts'

const MIB = 1024 * 1024
const ROUNDS = 10_000
const CLASS_ID = 'b7c2ab40-3f3b-4d6e-8f5c-1c2d3e4f5a6b'
const INSTANCE_ID = 'b7c2ab41-3f3b-4d6e-8f5c-1c2d3e4f5a6b'

/** A device that answers opens when it is told to, and stops when it is told to. */
class SlowDevice {
  readonly opens: ServerChannel[] = []
  programsClosed = 0
  /** `close` of its programs is pending until `completeClose`. */
  isSlowToClose = false

  open(channel: ServerChannel): OpenOutcome {
    this.opens.push(channel)
    return 'pending'
  }

  program(): ChannelProgram {
    return {
      poll: () => 0,
      arm: () => false,
      disarm: () => {},
      close: () => {
        this.programsClosed += 1
        return this.isSlowToClose ? 'pending' : undefined
      },
    }
  }
}

interface Scene {
  readonly device: SlowDevice
  readonly offer: Offer
  readonly server: VmbusServer
  readonly hypervisor: Hypervisor
  readonly kernel: Kernel
  readonly threads: SingleThread
  readonly memory: GuestMemory
  readonly hostEvents: VmbusServerEvent[]
  readonly guestEvents: VmbusClientEvent[]
}

function scene(): Scene {
  const clock = new ManualClock()
  const hypervisor = new Hypervisor({ clock })
  const memory = GuestMemory.create({ sizeBytes: 4 * MIB })
  const inbox: { bus: VmbusServer | null } = { bus: null }
  const created = hypervisor.createPartition({
    memory,
    vpCount: 1,
    wakeVp: [{ ring: () => {} }],
    listener: { queueSpace: () => void inbox.bus?.poll(0) },
  })
  if (!created.ok) throw new Error('no partition')
  const { partition } = created
  const router = new InterruptRouter(
    new WinHv(hypervisor),
    new VidPartition(partition.id, partition.vps.length, partition, new WinHv(hypervisor)),
    new PortIds(),
    {
      get acceptsMessages() {
        return inbox.bus!.acceptsMessages
      },
      receiveMessage: (payload, length) => inbox.bus!.receiveMessage(payload, length),
      get messageUnits() {
        return inbox.bus!.messageUnits
      },
      receiveSignal: (relid) => inbox.bus!.receiveSignal(relid),
    },
  )
  const hostEvents: VmbusServerEvent[] = []
  const server = new VmbusServer({
    transport: {
      iommu: new Iommu(memory, partition.slat),
      hasVp: (vp) => vp === 0,
      postMessage: (vp, payload, length) => router.post(vp, payload, length),
      openInterrupt: (relid, vp) => router.openInterrupt(relid, vp),
      connectChannel: (relid) => router.connectChannel(relid),
      disconnectChannel: (relid) => router.disconnectChannel(relid),
    },
    onEvent: (event) => hostEvents.push(event),
  })
  inbox.bus = server
  const device = new SlowDevice()
  const offer = server.offer({ classId: CLASS_ID, instanceId: INSTANCE_ID }, device)
  hypervisor.grant(partition.id, 0, 0)
  const guestEvents: VmbusClientEvent[] = []
  const kernel = new Kernel({
    vp: new VirtualProcessor(partition.handlesFor(0)!, {
      memory,
      wakeRoot: { ring: () => {} },
      clock,
    }),
    memory,
    placement: 'scattered',
    clock,
    onBusEvent: (event) => guestEvents.push(event),
    wake: () => {},
  })
  const found = kernel.start()
  if (!found.ok) throw new Error(found.reason)
  const threads = new SingleThread({ machines: [hypervisor, server, kernel] })
  threads.settle()
  return { device, offer, server, hypervisor, kernel, threads, memory, hostEvents, guestEvents }
}

/** What became of one channel, as its listener heard it. */
interface Life {
  readonly said: string[]
  readonly channel: ClientChannel | undefined
}

function open(on: Scene): Life {
  const said: string[] = []
  const offer = on.kernel.bus.offers()[0]!
  const channel = on.kernel.bus.open(
    offer,
    { sendBytes: 4096, receiveBytes: 4096 },
    {
      opened: () => {
        said.push('opened')
        return undefined
      },
      failed: (_channel, reason) => said.push(`failed: ${reason}`),
      closed: (_channel, reason) => said.push(`closed: ${reason}`),
    },
  )
  return { said, channel }
}

function holdings({ server, hypervisor, kernel }: Scene): object {
  const { relidsInUse, devicesInUse, activeChannels, gpadls, queuedMessages } = server.inspect()
  const { ports } = hypervisor.inspect()
  const { channels, gpadls: guestGpadls, queuedPosts } = kernel.bus.inspect()
  return {
    relidsInUse,
    devicesInUse,
    activeChannels,
    gpadls,
    queuedMessages,
    ports,
    channels,
    guestGpadls,
    queuedPosts,
    free: kernel.pages.freePages,
  }
}

describe('an offer that is rescinded while it opens', () => {
  test('gives the guest no result but the rescind, and the late answer of its device closes the program', () => {
    const on = scene()
    const free = on.kernel.pages.freePages
    const life = open(on)
    on.threads.settle()
    expect(on.device.opens).toHaveLength(1)

    on.offer.revoke()
    on.threads.settle()
    // The device has the rings until it has answered: nothing is promised to the guest before.
    expect(on.guestEvents.some((event) => event.is === 'rescind')).toBe(false)
    expect(on.server.devicesInUse).toBe(1)

    on.device.opens[0]!.completeOpen(on.device.program())
    on.threads.settle()
    expect(life.said).toEqual(['failed: rescinded'])
    expect(on.device.programsClosed).toBe(1)
    expect(on.guestEvents.at(-1)?.is).toBe('rescind')
    expect(holdings(on)).toMatchObject({
      relidsInUse: 0,
      devicesInUse: 0,
      ports: 2,
      gpadls: { accepted: 0, uses: 0, listBytes: 0 },
      guestGpadls: 0,
      free,
    })
  })

  test('before its GPADL has come fails that GPADL, whichever message it crosses', () => {
    // The rescind crosses the header, the bodies, the open or nothing: so many polls of the host come before it.
    for (let polls = 0; polls < 8; polls += 1) {
      const on = scene()
      const free = on.kernel.pages.freePages
      const life = open(on)
      for (let i = 0; i < polls; i += 1) {
        on.hypervisor.poll(1)
        on.server.poll(1)
        on.kernel.poll(1)
      }
      on.offer.revoke()
      on.device.opens[0]?.completeOpen({ refused: 1 })
      on.threads.settle()
      expect(life.said, `after ${polls} polls`).toHaveLength(1)
      expect(life.said[0], `after ${polls} polls`).toMatch(/^failed: /)
      expect(holdings(on), `after ${polls} polls`).toMatchObject({
        relidsInUse: 0,
        devicesInUse: 0,
        ports: 2,
        gpadls: { inProgress: 0, accepted: 0, tearingDown: 0, uses: 0, listBytes: 0 },
        free,
      })
    }
  })
})

describe('a GPADL torn down in use', () => {
  test('is not acknowledged before its channel is closed, and no page of it is written after', () => {
    const on = scene()
    const life = open(on)
    on.threads.settle()
    const host = on.device.opens[0]!
    host.completeOpen(on.device.program())
    on.threads.settle()
    expect(life.said).toEqual(['opened'])

    const pfns = on.kernel.pages.allocate(4)!
    const heard: string[] = []
    const gpadl: ClientGpadl = on.kernel.bus.createGpadl(
      life.channel!,
      [{ pfns, offsetBytes: 0, lengthBytes: 4 * 4096 }],
      {
        created: () => heard.push('created'),
        failed: () => heard.push('failed'),
        tornDown: () => heard.push('torn down'),
      },
    )!
    on.threads.settle()
    const mapped = host.gpadl(gpadl.id)!
    expect(mapped.ranges[0]!.pages.pageCount).toBe(4)

    on.kernel.bus.teardownGpadl(gpadl)
    on.threads.settle()
    expect(heard).toEqual(['created'])
    expect(on.server.inspect().gpadls.tearingDown).toBe(1)
    // A second use of what is being torn down is refused.
    expect(host.gpadl(gpadl.id)).toBeUndefined()

    mapped.release()
    on.threads.settle()
    expect(heard).toEqual(['created', 'torn down'])
    expect(holdings(on)).toMatchObject({ gpadls: { accepted: 1, tearingDown: 0, uses: 1 } })
  })

  test('with a device that is slow to stop keeps its pages until the device has stopped', () => {
    const on = scene()
    const free = on.kernel.pages.freePages
    on.device.isSlowToClose = true
    const life = open(on)
    on.threads.settle()
    const host = on.device.opens[0]!
    host.completeOpen(on.device.program())
    on.threads.settle()

    on.kernel.bus.close(life.channel!)
    on.threads.settle()
    expect(life.said).toEqual(['opened'])
    expect(on.kernel.pages.freePages).toBeLessThan(free)
    // The device writes for the last time, which is its right.
    expect(host.outgoing.send(0, 8, 6, 0, 0, 0)).toBeGreaterThanOrEqual(0)

    host.completeClose()
    on.threads.settle()
    expect(life.said).toEqual(['opened', 'closed: closed'])
    expect(on.kernel.pages.freePages).toBe(free)
    // What it would write now reaches nobody.
    const ram = on.memory.u8.slice()
    expect(host.outgoing.send(0, 8, 6, 0, 0, 0)).toBeLessThan(0)
    host.signal()
    expect(Buffer.compare(ram, on.memory.u8)).toBe(0)
  })
})

describe('a guest that leaves while a device opens', () => {
  test('by unload closes what the device then opens, and finds a bus as new when it comes back', () => {
    const on = scene()
    const before = holdings(on)
    const life = open(on)
    on.threads.settle()
    on.kernel.bus.unload()
    on.threads.settle()
    expect(on.guestEvents.some((event) => event.is === 'unloaded')).toBe(false)
    on.device.opens[0]!.completeOpen(on.device.program())
    on.threads.settle()
    expect(life.said).toEqual(['opened', 'closed: closed'])
    expect(on.guestEvents.at(-1)?.is).toBe('unloaded')
    on.kernel.bus.connect()
    on.threads.settle()
    expect(holdings(on)).toEqual(before)
  })

  test('by being reset is forgotten when the device has let go', () => {
    const on = scene()
    open(on)
    on.threads.settle()
    on.server.reset()
    expect(on.server.devicesInUse).toBe(1)
    on.device.opens[0]!.completeOpen(on.device.program())
    expect(on.server.inspect()).toMatchObject({
      connection: 'disconnected',
      devicesInUse: 0,
      relidsInUse: 0,
      gpadls: { accepted: 0, uses: 0, listBytes: 0 },
    })
  })
})

describe('ten thousand rounds', () => {
  test('of open and close, through the whole of both stacks, leave no more than the first one did', () => {
    const yard = new Yard()
    const neighbour = new EndlessLoad(yard, yard.boot('neighbour'))
    const guest = yard.boot('opener', 'scattered')
    const { bus, pages } = guest.kernel
    let isOpen = false
    let isClosed = false
    const round = (): void => {
      isOpen = false
      isClosed = false
      const channel = bus.open(
        loadOfferOf(guest),
        { sendBytes: 4096, receiveBytes: 8192 },
        {
          opened: () => {
            isOpen = true
            return undefined
          },
          closed: () => {
            isClosed = true
          },
        },
      )
      yard.until(() => isOpen, [guest], 'the channel to open')
      bus.close(channel!)
      yard.until(() => isClosed, [guest], 'the channel to close')
    }
    round()
    yard.restRoot()
    const before = JSON.stringify(yard.holdings(guest))
    const free = pages.freePages
    const { arrayBuffers } = process.memoryUsage()
    for (let i = 0; i < ROUNDS; i += 1) {
      round()
      if (i % 100 === 0) neighbour.mustProgress()
    }
    yard.restRoot()
    expect(JSON.stringify(yard.holdings(guest))).toBe(before)
    expect(pages.freePages).toBe(free)
    expect(bus.inspect()).toMatchObject({
      channels: [],
      gpadls: 0,
      queuedPosts: 0,
      activeChannels: 0,
    })
    // A ring end has a private memory: kept and used again, not made ten thousand times.
    expect(process.memoryUsage().arrayBuffers - arrayBuffers).toBeLessThan(16 * MIB)
    expect(yard.root.devicesOf(guest.partitionId)?.load.inspect()).toMatchObject({ channels: [] })
  })
})
