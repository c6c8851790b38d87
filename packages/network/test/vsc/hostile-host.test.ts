// What a host can do wrong, on purpose: the driver skips it, counts it, and goes on.

import { PACKET_TYPE_COMPLETION, PACKET_TYPE_DATA_INBAND } from '@guestyard/hvdef'
import fc from 'fast-check'
import { expect, test, vi } from 'vitest'
import { VirtualSwitch } from '@guestyard/network'
import { openAdapter } from '@guestyard/network/testing'
import type { OpenAdapter } from '@guestyard/network/testing'
import { RndisInitializeComplete } from '@guestyard/network/rndis'
import { NetVsp } from '@guestyard/network/vsp'
import type { ServerChannel } from '@guestyard/vmbus/server'
import { frameBytes, macText } from '../support/frames.ts'
import { packet } from '../support/raw-guest.ts'

/** Where `openAdapter` puts the receive buffer, and how large it is. */
const RECEIVE_GPA = 1024 * 4096
const RECEIVE_BYTES = 128 * 4096

interface Subject extends OpenAdapter {
  /** The host's end, to write what the device would not. */
  readonly host: ServerChannel
}

function open(): Subject {
  const opened = vi.spyOn(NetVsp.prototype, 'open')
  const lan = new VirtualSwitch({ clock: { now: () => 0 } })
  const adapter = openAdapter(lan, macText(1))
  const [host] = opened.mock.calls[0]!
  opened.mockRestore()
  return { ...adapter, host }
}

/** A transfer-page packet with these ranges: `[bytes, offset]`. */
function transfer(
  subject: Subject,
  ranges: readonly (readonly [number, number])[],
  setId = 0xcafe,
): void {
  const { outgoing } = subject.host
  const view = outgoing.stagingView
  for (const [index, [bytes, offset]] of ranges.entries()) {
    view.setUint32(8 + index * 8, bytes >>> 0, true)
    view.setUint32(12 + index * 8, offset >>> 0, true)
  }
  outgoing.staging.fill(0, 8 + ranges.length * 8, 48 + ranges.length * 8)
  outgoing.staging[8 + ranges.length * 8] = 107
  outgoing.writeTransferPages(0, setId, ranges.length, 40, 1, 0x7000, 1)
  if (outgoing.commit()) subject.host.signal()
  subject.loopback.pump()
}

function put(subject: Subject, offset: number, bytes: Uint8Array): void {
  subject.loopback.memory.u8.set(bytes, RECEIVE_GPA + offset)
}

const good = packet(frameBytes({ to: 1, from: 9 }), [[6, 5 << 4]])

test('a frame anywhere inside the buffer is taken, and one that leaves it is not', () => {
  const subject = open()
  const last = RECEIVE_BYTES - good.length
  for (const offset of [0, last]) put(subject, offset, good)
  transfer(subject, [
    [good.length, 0],
    [good.length, last],
  ])
  expect(subject.frames.length).toBe(2)
  transfer(subject, [
    [good.length, last + 8],
    [good.length, -8],
    [-1, 0],
    [good.length, RECEIVE_BYTES],
    [4, 0],
    [good.length, 2],
  ])
  transfer(subject, [[good.length, 0]], 0xbeef)
  expect([subject.frames.length, subject.vsc.ignored]).toEqual([2, 7])
})

test.each([
  ['data beyond the message', 8, 5000],
  ['data that wraps around', 8, -8],
  ['data of no end', 12, -1],
  ['information beyond the message', 28, 5000],
  ['information of no end', 32, -4],
  ['an entry of size 0', 44, 0],
  ['an entry beyond its area', 44, 400],
])('%s is skipped', (_, at, value) => {
  const subject = open()
  const bytes = good.slice()
  new DataView(bytes.buffer).setUint32(at, value >>> 0, true)
  put(subject, 0, bytes)
  transfer(subject, [[bytes.length, 0]])
  expect([subject.frames.length, subject.vsc.ignored]).toEqual([0, 1])
  put(subject, 0, good)
  transfer(subject, [[good.length, 0]])
  expect(subject.frames.length).toBe(1)
})

test('answers to what was not asked, or twice, change nothing', () => {
  const subject = open()
  const { outgoing } = subject.host
  const before = subject.vsc.ignored
  for (const tid of [1, 5, 0x7fff, -2]) {
    outgoing.staging.fill(0, 0, 40)
    outgoing.write(0, 40, PACKET_TYPE_COMPLETION, 0, tid, 0)
  }
  outgoing.write(0, 8, PACKET_TYPE_DATA_INBAND, 0, 0, 0)
  if (outgoing.commit()) subject.host.signal()
  subject.loopback.pump()
  expect(subject.vsc.ignored - before).toBe(5)
  expect(subject.vsc.send(frameBytes({ to: 2, from: 1 }))).toBe(true)
})

test('a section that frames are still gathered in is not the host’s to give back', () => {
  const subject = open()
  const { outgoing } = subject.host
  expect(subject.vsc.send(frameBytes({ to: 2, from: 1 }))).toBe(true)
  for (let tid = 1; tid <= 64; tid += 1) {
    outgoing.staging.fill(0, 0, 40)
    outgoing.write(0, 40, PACKET_TYPE_COMPLETION, 0, tid, 0)
  }
  if (outgoing.commit()) subject.host.signal()
  const before = subject.vsc.ignored
  subject.loopback.pump()
  expect(subject.vsc.ignored - before).toBe(64)
  expect(subject.vsp.inspect().frames).toBe(1)
})

test.each([
  ['none', 0, 3, 12],
  ['one', 1, 3, 12],
  ['no alignment', 32, 0, 12],
  ['a large one', 32, 7, 12],
  ['one that no section has', 32, 31, 12],
  ['more than a section has room for', 0xffff_ffff, 3, 12],
])('messages of one packet, %s: as many as are safe', (_, maxPackets, alignmentShift, count) => {
  const pack = RndisInitializeComplete.pack.bind(RndisInitializeComplete)
  const told = vi
    .spyOn(RndisInitializeComplete, 'pack')
    .mockImplementation((value) => pack({ ...value, maxPackets, alignmentShift }))
  const lan = new VirtualSwitch({ clock: { now: () => 0 } })
  const one = openAdapter(lan, macText(1))
  const two = openAdapter(lan, macText(2))
  expect(told).toHaveBeenCalledTimes(2)
  told.mockRestore()
  const sent = Array.from({ length: count }, (_each, index) =>
    frameBytes({ to: 2, from: 1, length: 60 + index * 7 }),
  )
  for (const bytes of sent) expect(one.vsc.send(bytes)).toBe(true)
  one.loopback.pump()
  two.loopback.pump()
  expect(two.frames).toEqual(sent)
  expect(one.vsp.inspect().malformed).toBe(0)
})

test('whatever a host writes over a frame, the driver goes on', () => {
  const subject = open()
  const change = fc.tuple(fc.nat(80), fc.nat(255))
  fc.assert(
    fc.property(fc.array(change, { maxLength: 8 }), fc.nat(200), (changes, length) => {
      const bytes = good.slice()
      for (const [at, value] of changes) if (at < bytes.length) bytes[at] = value
      put(subject, 0, bytes)
      transfer(subject, [[length, 0]])
      put(subject, 4096, good)
      const before = subject.frames.length
      transfer(subject, [[good.length, 4096]])
      expect(subject.frames.length).toBe(before + 1)
    }),
    { numRuns: 200 },
  )
})
