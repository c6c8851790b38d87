// Messages and signals in numbers and orders that no stock guest has: floods, storms, nonsense. The guest gets statuses, the
// root's memory stays bounded, the neighbour's packets keep coming, and a new contact makes everything good again.

import { describe, expect, test } from 'vitest'
import {
  ChannelMessage,
  EmptyMessage,
  GpadlBodyMessage,
  GpadlCreatedMessage,
  GpadlHeaderMessage,
  GpadlTeardownMessage,
  HvStatus,
  ModifyChannelMessage,
  OpenChannelMessage,
  OpenChannelResultMessage,
  SyntheticMsr,
  VMBUS_MESSAGE_CONNECTION_ID,
  VmbusMessageType,
  VmbusVersion,
} from '@guestyard/hvdef'

import { KernelPage } from '@guestyard/child-partition'

import { EndlessLoad } from './endless-load.ts'
import { RawGuest, initiateContact, type RawOffer } from './raw-guest.ts'
import { Random } from './random.ts'
import { Yard } from './yard.ts'

const SEED = Number(process.env['FC_SEED'] ?? 1)
const FIRST_PFN = 32
/** Answers that wait, answers to what is read meanwhile, and what three offers owe. */
const QUEUED_MAX = 64 + 1 + 3 * 3 + 1
const GPADLS_MAX = 2048

interface Scene {
  readonly yard: Yard
  readonly neighbour: EndlessLoad
  readonly guest: RawGuest
  readonly offers: RawOffer[]
}

function scene(): Scene {
  const yard = new Yard()
  const neighbour = new EndlessLoad(yard, yard.boot('neighbour'))
  const guest = new RawGuest(yard, yard.create('hostile'))
  return { yard, neighbour, guest, offers: guest.connect() }
}

/** A GPADL of one range: header and bodies, as many PFNs in each as fit. */
function gpadlMessages(
  relid: number,
  gpadlId: number,
  pfns: readonly number[],
  byteCount: number = pfns.length * 4096,
  byteOffset: number = 0,
  rangeCount: number = 1,
): Uint8Array[] {
  const rangeBytes = 8 + pfns.length * 8
  const data = new DataView(new ArrayBuffer(rangeBytes))
  data.setUint32(0, byteCount, true)
  data.setUint32(4, byteOffset, true)
  for (const [index, pfn] of pfns.entries()) data.setBigUint64(8 + index * 8, BigInt(pfn), true)
  const bytes = new Uint8Array(data.buffer)
  const header = GpadlHeaderMessage.pack({
    messageType: VmbusMessageType.GPADL_HEADER,
    channelId: relid,
    gpadlId,
    rangeBytes,
    rangeCount,
  })
  const messages = [joined(header, bytes.subarray(0, 27 * 8))]
  for (let at = 27 * 8; at < bytes.length; at += 28 * 8) {
    const body = GpadlBodyMessage.pack({
      messageType: VmbusMessageType.GPADL_BODY,
      messageNumber: 0,
      gpadlId,
    })
    messages.push(joined(body, bytes.subarray(at, at + 28 * 8)))
  }
  return messages
}

function joined(head: Uint8Array, tail: Uint8Array): Uint8Array {
  const whole = new Uint8Array(head.length + tail.length)
  whole.set(head)
  whole.set(tail, head.length)
  return whole
}

function run(count: number): number[] {
  return Array.from({ length: count }, (_, index) => FIRST_PFN + index)
}

/** Creates a GPADL; the host's status for it, or undefined when it has no answer. */
function createGpadl({ guest }: Scene, messages: readonly Uint8Array[]): number | undefined {
  const met = messages.flatMap((message) => guest.mustPost(message))
  const answer = [...met, ...guest.takeAll()].find(
    ({ type }) => type === VmbusMessageType.GPADL_CREATED,
  )
  return answer && GpadlCreatedMessage.decode(answer.view).status
}

function openChannel(
  { guest }: Scene,
  relid: number,
  ringGpadlId: number,
  downstreamPageOffset: number,
  targetVp: number = 0,
): number | undefined {
  guest.mustPost(
    OpenChannelMessage.pack({
      messageType: VmbusMessageType.OPENCHANNEL,
      channelId: relid,
      openId: relid,
      ringGpadlId,
      targetVp,
      downstreamPageOffset,
      userDefined: new Uint8Array(120),
    }),
  )
  const answer = guest.takeAll().find(({ type }) => type === VmbusMessageType.OPENCHANNEL_RESULT)
  return answer && OpenChannelResultMessage.decode(answer.view).status
}

function post(scene: Scene, type: number, relid: number): void {
  scene.guest.mustPost(ChannelMessage.pack({ messageType: type, channelId: relid }))
  scene.guest.takeAll()
}

function teardown(scene: Scene, relid: number, gpadlId: number): void {
  scene.guest.mustPost(
    GpadlTeardownMessage.pack({
      messageType: VmbusMessageType.GPADL_TEARDOWN,
      channelId: relid,
      gpadlId,
    }),
  )
  scene.guest.takeAll()
}

describe('floods', () => {
  test('the seventeenth message that the root has not read is refused with INSUFFICIENT_BUFFERS', () => {
    const { yard, guest, neighbour } = scene()
    const request = EmptyMessage.pack({ messageType: VmbusMessageType.REQUESTOFFERS })
    const statuses = Array.from({ length: 5_000 }, () => guest.post(request))
    expect(statuses.slice(0, 16).every((status) => status === HvStatus.SUCCESS)).toBe(true)
    expect(statuses.slice(16).every((status) => status === HvStatus.INSUFFICIENT_BUFFERS)).toBe(
      true,
    )
    yard.restRoot()
    expect(guest.post(request)).toBe(HvStatus.SUCCESS)
    neighbour.mustProgress()
  })

  test('a guest that takes no answer is left unread after so many, loses none, and holds up nobody', () => {
    const on = scene()
    const { yard, guest, neighbour } = on
    const relid = on.offers[0]!.relid
    let posted = 0
    for (let attempt = 0; attempt < 5_000; attempt += 1) {
      // Each has an answer: a creation that fails.
      const [message] = gpadlMessages(relid, 1_000 + posted, [FIRST_PFN], 0)
      if (guest.post(message!) === HvStatus.SUCCESS) posted += 1
      yard.pollRoot()
      if (attempt % 64 === 0) neighbour.mustProgress()
    }
    // In the SIM slot one, in the VP's queue 16, with the server so many, in the port's buffers 16.
    expect(posted).toBeLessThanOrEqual(1 + 16 + QUEUED_MAX + 16)
    expect(yard.busOf(guest.partition).queuedMessages).toBeLessThanOrEqual(QUEUED_MAX)

    const ids = guest.takeAll().map(({ view }) => GpadlCreatedMessage.decode(view).gpadlId)
    expect(ids).toEqual(Array.from({ length: posted }, (_, index) => 1_000 + index))
    expect(yard.busOf(guest.partition).queuedMessages).toBe(0)
    expect(createGpadl(on, gpadlMessages(relid, 7, [FIRST_PFN]))).toBe(0)
  })

  test('GPADLs beyond the limit are refused, and each one torn down makes room for one', () => {
    const on = scene()
    const relid = on.offers[0]!.relid
    let accepted = 0
    for (let id = 1; id <= GPADLS_MAX + 200; id += 1) {
      if (createGpadl(on, gpadlMessages(relid, id, [FIRST_PFN])) === 0) accepted += 1
    }
    expect(accepted).toBe(GPADLS_MAX)
    expect(on.yard.busOf(on.guest.partition).gpadls.accepted).toBe(GPADLS_MAX)
    on.neighbour.mustProgress()
    teardown(on, relid, 1)
    expect(createGpadl(on, gpadlMessages(relid, 90_000, [FIRST_PFN]))).toBe(0)
    expect(createGpadl(on, gpadlMessages(relid, 90_001, [FIRST_PFN]))).not.toBe(0)
  })

  test('GPADLs that are begun and never finished reserve no more than their limit of bytes', () => {
    const on = scene()
    const relid = on.offers[0]!.relid
    for (let id = 1; id <= 1_000; id += 1) {
      on.guest.mustPost(
        GpadlHeaderMessage.pack({
          messageType: VmbusMessageType.GPADL_HEADER,
          channelId: relid,
          gpadlId: id,
          rangeBytes: 65_528,
          rangeCount: 1,
        }),
      )
      on.guest.takeAll()
    }
    const { gpadls } = on.yard.busOf(on.guest.partition)
    expect(gpadls.listBytes).toBeLessThanOrEqual(8 * 1024 * 1024)
    expect(gpadls.inProgress).toBeLessThan(1_000)
    on.neighbour.mustProgress()
    on.guest.connect()
    expect(on.yard.busOf(on.guest.partition).gpadls.listBytes).toBe(0)
  })

  test('signals on every connection id there could be reach only what is connected', () => {
    const { yard, guest, neighbour, offers } = scene()
    const known = new Set(offers.map((offer) => offer.connectionId))
    const accepted = new Set<number>()
    for (let id = 0; id <= 0x4000; id += 1) {
      if (guest.signal(id) === HvStatus.SUCCESS) accepted.add(id)
    }
    expect(accepted).toEqual(known)
    for (const id of [0xffff_ffff, 0x0100_0000 | offers[0]!.connectionId, 0x8000_0000]) {
      expect(guest.signal(id)).not.toBe(HvStatus.SUCCESS)
    }
    for (const flag of [1, 2047, 2048, 65_535]) {
      expect(guest.signal(offers[0]!.connectionId, flag)).not.toBe(HvStatus.SUCCESS)
    }
    yard.restRoot()
    neighbour.mustProgress()
  })

  test('a hundred thousand signals before the root looks are one signal', () => {
    const { yard, guest, neighbour, offers } = scene()
    for (let i = 0; i < 100_000; i += 1) guest.signal(offers[i % 3]!.connectionId)
    // Three flags, and what the neighbour asks for meanwhile.
    expect(yard.pollRoot()).toBeLessThanOrEqual(3 + 64)
    neighbour.mustProgress()
  })
})

describe('opens that cannot be', () => {
  test('are refused with a status, whatever is wrong with them, and the right one then works', () => {
    const on = scene()
    const [keyboard, mouse] = on.offers as [RawOffer, RawOffer]
    const { relid } = keyboard
    const pages = run(8)
    const gpadls: readonly [string, number, Uint8Array[]][] = [
      ['whole', 1, gpadlMessages(relid, 1, pages)],
      ['not on a page', 2, gpadlMessages(relid, 2, pages, 7 * 4096, 8)],
      ['not whole pages', 3, gpadlMessages(relid, 3, pages, 7 * 4096 + 8)],
      ["another channel's", 4, gpadlMessages(mouse.relid, 4, pages)],
    ]
    for (const [, , messages] of gpadls) expect(createGpadl(on, messages)).toBe(0)
    // Outside RAM, of no bytes, too few PFNs, more ranges than data: no such GPADL comes to be.
    expect(createGpadl(on, gpadlMessages(relid, 5, [...pages, 1024]))).not.toBe(0)
    expect(createGpadl(on, gpadlMessages(relid, 6, [2 ** 40]))).not.toBe(0)
    expect(createGpadl(on, gpadlMessages(relid, 7, pages, 0))).not.toBe(0)
    expect(createGpadl(on, gpadlMessages(relid, 8, pages, 9 * 4096))).not.toBe(0)
    expect(createGpadl(on, gpadlMessages(relid, 9, pages, 8 * 4096, 0, 9))).not.toBe(0)
    expect(createGpadl(on, gpadlMessages(relid, 10, pages, 0xffff_f000, 0xfff))).not.toBe(0)

    for (const offset of [0, 1, 7, 8, 9, 0x8000_0000, 0xffff_ffff]) {
      expect(openChannel(on, relid, 1, offset), `downstream offset ${offset}`).not.toBe(0)
    }
    for (const id of [2, 3, 4, 5, 0, 0xffff_ffff]) {
      expect(openChannel(on, relid, id, 4), `GPADL ${id}`).not.toBe(0)
    }
    for (const vp of [1, 64, 0x7fff_ffff, 0xffff_fffe]) {
      expect(openChannel(on, relid, 1, 4, vp), `VP ${vp}`).not.toBe(0)
    }
    expect(openChannel(on, 2047, 1, 4)).toBeUndefined()
    expect(on.yard.busOf(on.guest.partition).devicesInUse).toBe(0)
    expect(openChannel(on, relid, 1, 4)).toBe(0)
    on.neighbour.mustProgress()
  })
})

describe('pages of the hypervisor’s own', () => {
  const overlays = [KernelPage.HYPERCALL, KernelPage.SIM, KernelPage.SIEF]

  test('are given to no device, and are a fault of the one they were meant for', () => {
    const on = scene()
    const [{ relid }] = on.offers as [RawOffer]
    for (const [id, page] of overlays.entries()) {
      expect(createGpadl(on, gpadlMessages(relid, id + 1, [page]))).not.toBe(0)
      const ring = [FIRST_PFN, FIRST_PFN + 1, page, FIRST_PFN + 2]
      expect(createGpadl(on, gpadlMessages(relid, id + 100, ring))).not.toBe(0)
    }
    const { iommu, gpadls } = on.yard.busOf(on.guest.partition)
    expect(gpadls).toMatchObject({ accepted: 0, inProgress: 0, listBytes: 0 })
    expect(iommu.faults).toBe(2 * overlays.length)
    expect(iommu.latestFaults.map(({ gpa, reason }) => [gpa, reason])).toEqual(
      overlays.flatMap((page) => [
        [page * 4096, 'overlay'],
        [page * 4096, 'overlay'],
      ]),
    )
    // The page is RAM again once the SIM has left it.
    on.guest.partition.vp.writeMsr(SyntheticMsr.SIEFP, 0, 0)
    expect(createGpadl(on, gpadlMessages(relid, 200, [KernelPage.SIEF]))).toBe(0)
    on.neighbour.mustProgress()
  })

  test('put over the rings of an open channel cost that guest, and nobody else', () => {
    const on = scene()
    const { guest, yard } = on
    const [{ relid, connectionId }] = on.offers as [RawOffer]
    const { vp, memory } = guest.partition
    expect(createGpadl(on, gpadlMessages(relid, 1, run(8)))).toBe(0)
    expect(openChannel(on, relid, 1, 4)).toBe(0)
    for (let page = FIRST_PFN; page < FIRST_PFN + 8; page += 1) {
      for (const msr of [SyntheticMsr.SIMP, SyntheticMsr.SIEFP]) {
        vp.writeMsr(msr, (page * 4096) | 1, 0)
        memory.i32.fill(page * 0x0101_0101, page * 1024, (page + 1) * 1024)
        guest.signal(connectionId)
        vp.deliver()
        yard.restRoot()
        on.neighbour.mustProgress()
      }
    }
    vp.writeMsr(SyntheticMsr.SIMP, (KernelPage.SIM * 4096) | 1, 0)
    vp.writeMsr(SyntheticMsr.SIEFP, (KernelPage.SIEF * 4096) | 1, 0)
    expect(guest.connect()).toHaveLength(6)
    expect(yard.busOf(guest.partition)).toMatchObject({ devicesInUse: 0, relidsInUse: 6 })
    on.neighbour.mustProgress()
  })
})

describe('storms', () => {
  test('contact, unload and requests in any order end where the last of them says', () => {
    const on = scene()
    const { guest, yard } = on
    const random = new Random(SEED)
    const versions = [
      VmbusVersion.IRON,
      VmbusVersion.WIN10,
      VmbusVersion.WIN8,
      0x0001_0001,
      0,
      0xffff_ffff,
    ]
    for (let i = 0; i < 3_000; i += 1) {
      switch (random.below(4)) {
        case 0:
          guest.mustPost(initiateContact(random.pick(versions), random.pick([0, 1, 999])))
          break
        case 1:
          guest.mustPost(EmptyMessage.pack({ messageType: VmbusMessageType.UNLOAD }))
          break
        case 2:
          guest.mustPost(EmptyMessage.pack({ messageType: VmbusMessageType.REQUESTOFFERS }))
          break
        default:
          for (const message of gpadlMessages(random.below(5), random.below(3), run(60))) {
            guest.mustPost(message)
          }
      }
      if (random.chance(30)) guest.takeAll()
      if (i % 32 === 0) on.neighbour.mustProgress()
    }
    guest.takeAll()
    expect(guest.connect()).toHaveLength(6)
    const { gpadls, relidsInUse, devicesInUse, queuedMessages } = yard.busOf(guest.partition)
    expect({ gpadls, relidsInUse, devicesInUse, queuedMessages }).toEqual({
      gpadls: { inProgress: 0, accepted: 0, tearingDown: 0, listBytes: 0, uses: 0 },
      relidsInUse: 6,
      devicesInUse: 0,
      queuedMessages: 0,
    })
  })

  test('messages of any type with any fields, of any length, are answered or counted, and no more', () => {
    const on = scene()
    const { guest } = on
    const random = new Random(SEED ^ 0x5eed)
    for (let i = 0; i < 20_000; i += 1) {
      guest.mustPost(anyMessage(random, on.offers))
      if (random.chance(20)) guest.takeAll()
      if (random.chance(5)) guest.signal(random.pick(on.offers).connectionId)
      if (i % 64 === 0) on.neighbour.mustProgress()
    }
    for (const [connection, length, type, status] of [
      [VMBUS_MESSAGE_CONNECTION_ID, 241, 1, HvStatus.INVALID_PARAMETER],
      [VMBUS_MESSAGE_CONNECTION_ID, 0xffff_ffff, 1, HvStatus.INVALID_PARAMETER],
      [VMBUS_MESSAGE_CONNECTION_ID, 8, 0, HvStatus.INVALID_PARAMETER],
      [2, 8, 1, HvStatus.INVALID_CONNECTION_ID],
    ] as const) {
      guest.takeAll()
      expect(guest.post(new Uint8Array(240), connection, length, type)).toBe(status)
    }
    on.neighbour.mustBeUntouched()
    expect(guest.connect()).toHaveLength(6)
    expect(on.yard.busOf(guest.partition).devicesInUse).toBe(0)
  })

  test('opening, closing, moving and tearing down in any order leaves nothing behind after an unload', () => {
    const on = scene()
    const { guest, yard } = on
    const random = new Random(SEED ^ 0x0dd)
    yard.restRoot()
    const before = JSON.stringify(yard.holdings(guest.partition))
    for (let i = 0; i < 2_000; i += 1) {
      const { relid } = random.pick(on.offers)
      const gpadlId = 1 + random.below(3)
      switch (random.below(6)) {
        case 0:
          createGpadl(on, gpadlMessages(relid, gpadlId, run(4 + random.below(40))))
          break
        case 1:
          openChannel(on, relid, gpadlId, 2 + random.below(4))
          break
        case 2:
          post(on, VmbusMessageType.CLOSECHANNEL, relid)
          break
        case 3:
          teardown(on, relid, gpadlId)
          break
        case 4:
          guest.mustPost(
            ModifyChannelMessage.pack({
              messageType: VmbusMessageType.MODIFYCHANNEL,
              channelId: relid,
              targetVp: random.pick([0, 1, 0xffff_ffff]),
            }),
          )
          break
        default:
          guest.signal(random.pick(on.offers).connectionId)
      }
      if (i % 32 === 0) on.neighbour.mustProgress()
    }
    guest.takeAll()
    guest.connect()
    yard.restRoot()
    expect(JSON.stringify(yard.holdings(guest.partition))).toBe(before)
    on.neighbour.mustBeUntouched()
  })
})

/** A message whose type and fields are likely to mean something, or not. */
function anyMessage(random: Random, offers: readonly RawOffer[]): Uint8Array {
  const bytes = new Uint8Array(8 + random.below(233))
  const view = new DataView(bytes.buffer)
  const mostlySmall = (): number =>
    random.chance(60) ? random.below(6) : random.chance(50) ? random.u32() : 0xffff_ffff
  for (let at = 8; at + 4 <= bytes.length; at += 4) view.setUint32(at, mostlySmall(), true)
  view.setUint32(0, random.chance(90) ? random.below(32) : random.u32(), true)
  if (bytes.length >= 12 && random.chance(60)) view.setUint32(8, random.pick(offers).relid, true)
  return bytes
}
