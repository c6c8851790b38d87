import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, describe, expect, test } from 'vitest'
import fc from 'fast-check'

import { startHost, type Host } from '../src/index.ts'
import { EmulatedMachine } from '../src/vmwp/emulated/machine.ts'
import { SerialPort } from '../src/vmwp/emulated/serial-port.ts'

const MIB = 1024 * 1024

describe('port and memory exits of a guest', () => {
  const hosts: Host[] = []

  afterEach(async () => {
    await Promise.all(hosts.splice(0).map((one) => one.close()))
  })

  test('reach the devices in its worker process and come back with the value', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'guestyard-'))
    const destination = join(folder, 'log.jsonl')
    const host = await startHost({ log: { level: 'info', destination } })
    hosts.push(host)
    const vm = host.createVm({
      name: 'ports',
      memoryBytes: 4 * MIB,
      program: new URL('./guests/ports.ts', import.meta.url),
    })
    await vm.start()
    expect(await vm.call('talk', null)).toMatchObject({
      post: 0xa5,
      lineStatus: 0x60,
      scratch: 0x77,
      memory: 0x77,
      nobodysPort: 0xffff,
      nobodysMemory: 0xffff_ffff,
    })
    await host.close()
    const lines = (await readFile(destination, 'utf8')).split('\n')
    const line = lines.find((each) => each.includes('hello, port'))
    expect(JSON.parse(line ?? '{}')).toMatchObject({ vm: 'ports', device: 'serial' })
    await rm(folder, { recursive: true })
  })

  test('a VM that does not fit the host’s memory is refused in one line, and one that does runs', async () => {
    const host = await startHost({ log: { level: 'silent' }, hostMemoryBytes: 16 * MIB })
    hosts.push(host)
    const large = host.createVm({ name: 'large', memoryBytes: 32 * MIB })
    const failed = await large.start().then(
      () => 'started',
      (error: unknown) => String(error),
    )
    expect(failed).toContain(
      'partition "large" refused: HV_STATUS_INSUFFICIENT_MEMORY for 32 MiB of RAM; the host has',
    )
    expect(failed.split('\n').length).toBe(1)
    const small = host.createVm({ name: 'small', memoryBytes: 4 * MIB })
    await small.start()
    expect(small.state).toBe('running')
  })
})

describe('the serial port', () => {
  test('sends lines and cuts one that does not end', () => {
    const lines: string[] = []
    const serial = new SerialPort((line) => lines.push(line))
    for (const char of 'one\r\ntwo\n') serial.write(0, 1, char.charCodeAt(0))
    for (let i = 0; i < 600; i += 1) serial.write(0, 1, 0x78)
    expect(lines.map((line) => line.length)).toEqual([3, 3, 512])
  })

  test('receives in order, and says when there is something', () => {
    const serial = new SerialPort(() => {})
    expect(serial.read(5)).toBe(0x60)
    serial.receive(new Uint8Array([1, 2]))
    expect([serial.read(5), serial.read(0), serial.read(0), serial.read(5)]).toEqual([
      0x61, 1, 2, 0x60,
    ])
  })

  test('keeps its divisor behind the latch, apart from data and interrupt enable', () => {
    const sent: string[] = []
    const serial = new SerialPort((line) => sent.push(line))
    serial.write(3, 1, 0x83)
    serial.write(0, 1, 0x0c)
    serial.write(1, 1, 0x01)
    expect([serial.read(0), serial.read(1)]).toEqual([0x0c, 0x01])
    serial.write(3, 1, 0x03)
    serial.write(1, 1, 0x05)
    expect([serial.read(0), serial.read(1), serial.read(3)]).toEqual([0, 0x05, 0x03])
    expect(sent).toEqual([])
  })
})

test('any access gets an answer, whatever its port, address, size and value', () => {
  const machine = new EmulatedMachine(() => {})
  const number = fc.integer({ min: 0, max: 0xffff_ffff })
  const near = fc.constantFrom(0x7f, 0x80, 0x3f8, 0x3fd, 0x3ff, 0x400, 0xfed0_3000, 0xfed0_3007)
  fc.assert(
    fc.property(
      fc.oneof(number, near),
      fc.constantFrom<1 | 2 | 4 | 8>(1, 2, 4, 8),
      number,
      fc.boolean(),
      fc.boolean(),
      (at, size, value, isWrite, isPort) => {
        const where = isPort
          ? { kind: 'port' as const, port: at & 0xffff }
          : { kind: 'memory' as const, gpa: at }
        const access = { ...where, isWrite, size, low: value, high: 0 }
        const answer = machine.answer({ partitionId: 2, vp: 0, sequence: 1, access })
        expect(answer.kind).toBe('value')
      },
    ),
  )
})
