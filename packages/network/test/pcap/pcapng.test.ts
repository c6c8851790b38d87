import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

import fc from 'fast-check'
import { expect, onTestFinished, test } from 'vitest'
import { createCaptureFile } from '@guestyard/network/file'
import { PcapngError, PcapngWriter, PortCapture, readPcapng } from '@guestyard/network/pcap'
import { BROADCAST, frameBytes, ipv4, udp } from '../support/frames.ts'
import { Lan } from '../support/lan.ts'
import { noTshark, tshark } from '../support/tshark.ts'

class Bytes {
  parts: number[] = []
  write(bytes: Uint8Array): void {
    this.parts.push(...bytes)
  }
  get all(): Uint8Array {
    return Uint8Array.from(this.parts)
  }
}

function hex(bytes: Uint8Array): string {
  return [...bytes].map((byte) => byte.toString(16).padStart(2, '0')).join('')
}

test('a section, an interface and a packet are the bytes of the specification', () => {
  const sink = new Bytes()
  const writer = new PcapngWriter(sink, { application: 'test' })
  writer.addInterface('p0')
  writer.packet(0, Uint8Array.of(1, 2, 3, 4, 5), {
    timeUs: 2 ** 32 + 7,
    isInbound: true,
    comment: 'x',
  })
  expect(hex(sink.all)).toBe(
    [
      '0a0d0d0a',
      '28000000',
      '4d3c2b1a',
      '01000000',
      'ffffffffffffffff',
      '04000400',
      '74657374',
      '00000000',
      '28000000',
      '01000000',
      '20000000',
      '01000000',
      '00000000',
      '02000200',
      '70300000',
      '00000000',
      '20000000',
      '06000000',
      '3c000000',
      '00000000',
      '01000000',
      '07000000',
      '05000000',
      '05000000',
      '0102030405000000',
      '02000400',
      '01000000',
      '01000100',
      '78000000',
      '00000000',
      '3c000000',
    ].join(''),
  )
})

test('what was written is read back, whatever it was', () => {
  const packet = fc.record({
    bytes: fc.uint8Array({ maxLength: 200 }),
    timeUs: fc.nat(2 ** 50),
    isInbound: fc.boolean(),
    comment: fc.string({ unit: 'grapheme', maxLength: 20 }),
  })
  fc.assert(
    fc.property(fc.array(packet, { maxLength: 8 }), (packets) => {
      const sink = new Bytes()
      const writer = new PcapngWriter(sink)
      writer.addInterface('lan')
      for (const { bytes, ...options } of packets) writer.packet(0, bytes, options)
      const read = [...readPcapng(sink.all)]
      expect(read.map(({ bytes }) => [...bytes])).toEqual(packets.map(({ bytes }) => [...bytes]))
      expect(read.map(({ timeUs }) => Math.round(timeUs))).toEqual(
        packets.map(({ timeUs }) => timeUs),
      )
      expect(read.map(({ comments }) => comments)).toEqual(packets.map(({ comment }) => [comment]))
      expect(read.map(({ direction }) => direction === 'inbound')).toEqual(
        packets.map(({ isInbound }) => isInbound),
      )
    }),
    { numRuns: 50 },
  )
})

test('a section of the other byte order, with simple packets and nanoseconds, is read too', () => {
  const bytes = Uint8Array.from(
    (
      '0a0d0d0a0000001c1a2b3c4d00010000ffffffffffffffff0000001c' +
      '00000001000000200001000000000000000900010900000000000000' +
      '00000020' +
      '0000000600000024000000000000000000000bb80000000200000002' +
      'aabb000000000024' +
      '000000030000001400000003010203000000001400000063' +
      '0000000c0000000c'
    )
      .match(/../gu)!
      .map((digits) => Number.parseInt(digits, 16)),
  )
  const read = [...readPcapng(bytes)]
  expect(read.map((packet) => [packet.timeUs, [...packet.bytes]])).toEqual([
    [3, [0xaa, 0xbb]],
    [0, [1, 2, 3]],
  ])
})

test('a damaged file is refused, and never with anything but a PcapngError', () => {
  const sink = new Bytes()
  const writer = new PcapngWriter(sink)
  writer.addInterface('lan')
  writer.packet(0, new Uint8Array(60), { timeUs: 1, isInbound: false, comment: 'hello' })
  const good = sink.all
  const damage = fc.array(fc.tuple(fc.nat(good.length - 1), fc.nat(255)), { maxLength: 4 })
  fc.assert(
    fc.property(damage, fc.nat(good.length), (changes, length) => {
      const bytes = good.slice(0, length)
      for (const [at, value] of changes) if (at < length) bytes[at] = value
      try {
        expect([...readPcapng(bytes)].length).toBeLessThanOrEqual(1)
      } catch (error) {
        expect(error).toBeInstanceOf(PcapngError)
      }
    }),
    { numRuns: 500 },
  )
})

test('a port is captured with its tags, directions and trace ids', () => {
  const sink = new Bytes()
  const lan = new Lan()
  lan.plug({ name: 'uplink', vlan: { mode: 'trunk', native: 0, allowed: [5] } })
  lan.plug({ vlan: { mode: 'access', id: 5 } })
  let record = 0
  const capture = new PortCapture(new PcapngWriter(sink), {
    nowUs: () => 5,
    traceId: () => (record += 41),
  })
  capture.add(lan.ports[0]!)
  lan.send(1, frameBytes({ to: BROADCAST, from: 1 }))
  lan.send(0, frameBytes({ to: 1, from: 2 }), 0x2005)
  const read = [...readPcapng(sink.all)]
  expect(
    read.map((one) => [
      one.interfaceName,
      one.direction,
      hex(one.bytes.subarray(12, 18)),
      one.comments[0],
    ]),
  ).toEqual([
    ['uplink', 'inbound', '8100000588b5', 'trace 41'],
    ['uplink', 'outbound', '8100200588b5', 'trace 82'],
  ])
})

test.skipIf(noTshark !== undefined)('tshark reads a capture file without complaint', () => {
  const folder = mkdtempSync(join(tmpdir(), 'capture-'))
  onTestFinished(() => rmSync(folder, { recursive: true }))
  const path = join(folder, 'lan.pcapng')
  const file = createCaptureFile(path)
  const lan = new Lan()
  lan.plug({ name: 'db' })
  lan.plug()
  new PortCapture(new PcapngWriter(file), { nowUs: () => 1_000_001, traceId: () => 7 }).add(
    lan.ports[0]!,
  )
  lan.send(0, frameBytes({ to: 2, from: 1, type: 0x800, payload: ipv4(17, udp(4000, 4001)) }))
  file.close()
  const fields = ['frame.interface_name', 'frame.comment', 'udp.srcport', '_ws.malformed']
  expect(tshark(path, fields)).toBe('db\ttrace 7\t4000\t\n')
})

test('a capture file holds what was written, and takes nothing after its end', () => {
  const folder = mkdtempSync(join(tmpdir(), 'capture-'))
  onTestFinished(() => rmSync(folder, { recursive: true }))
  const path = join(folder, 'lan.pcapng')
  const file = createCaptureFile(path)
  const writer = new PcapngWriter(file)
  writer.addInterface('lan')
  for (let index = 0; index < 50; index += 1) {
    writer.packet(0, new Uint8Array(4000 + index), { timeUs: index, isInbound: true })
  }
  writer.packet(0, new Uint8Array(70_000), { timeUs: 50, isInbound: true })
  file.close()
  writer.packet(0, new Uint8Array(1), { timeUs: 51, isInbound: true })
  file.close()
  const lengths = [...readPcapng(readFileSync(path))].map(({ bytes }) => bytes.length)
  expect(lengths).toEqual([...Array.from({ length: 50 }, (_, index) => 4000 + index), 70_000])
  expect(file.failure).toBeUndefined()
})

test('a full host ends the capture and says why', () => {
  const file = createCaptureFile('/dev/full')
  new PcapngWriter(file).addInterface('lan')
  file.flush()
  expect(file.failure).toContain('ENOSPC')
  file.close()
})
