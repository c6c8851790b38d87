import { HYPERCALL_UNDEFINED_OPCODE, Hypervisor, ROOT_PARTITION_ID } from '@guestyard/hypervisor'
import { GuestMemory } from '@guestyard/guestmem'
import {
  HvPrivilege,
  HvStatus,
  SyntheticMsr,
  connectionId,
  partitionId,
  portId,
  privilegeMask,
} from '@guestyard/hvdef'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'

import { ConnectionTable, lookUpConnection } from '../src/connection-table.ts'
import { PARTITION_PAGE_BYTES } from '../src/partition-page.ts'
import { Bell, Guest, Mailbox, RAM_BYTES, SINT, Signals, TestClock, VECTOR } from './guest.ts'

const NOBODY = partitionId(99)

describe('partitions', () => {
  const memory = GuestMemory.create({ sizeBytes: RAM_BYTES })
  const partition = (vpCount: number, bells = vpCount) => ({
    memory,
    vpCount,
    wakeVp: Array.from({ length: bells }, () => new Bell()),
  })

  test.each([
    ['no VP', 0, 0],
    ['65 VPs', 65, 65],
    ['fewer doorbells than VPs', 2, 1],
  ])('%s is INVALID_PARAMETER', (_, vpCount, bells) => {
    const hypervisor = new Hypervisor({ clock: new TestClock() })
    expect(hypervisor.createPartition(partition(vpCount, bells))).toEqual({
      ok: false,
      status: HvStatus.INVALID_PARAMETER,
    })
  })

  test('the privileges of a root partition are INVALID_PARAMETER', () => {
    const hypervisor = new Hypervisor({ clock: new TestClock() })
    const privileges = privilegeMask([HvPrivilege.CREATE_PARTITIONS, HvPrivilege.CPU_MANAGEMENT])
    expect(hypervisor.createPartition({ ...partition(1), privileges })).toMatchObject({ ok: false })
  })

  test('one more than the maximum is NO_RESOURCES, and an id is never given twice', () => {
    const hypervisor = new Hypervisor({ clock: new TestClock(), maxPartitions: 2 })
    const first = hypervisor.createPartition(partition(1))
    const second = hypervisor.createPartition(partition(1))
    expect(hypervisor.createPartition(partition(1))).toEqual({
      ok: false,
      status: HvStatus.NO_RESOURCES,
    })
    if (!first.ok || !second.ok) throw new Error('both partitions exist')
    expect(hypervisor.deletePartition(first.partition.id)).toBe(HvStatus.SUCCESS)
    expect(hypervisor.deletePartition(first.partition.id)).toBe(HvStatus.INVALID_PARTITION_ID)
    const third = hypervisor.createPartition(partition(1))
    if (!third.ok) throw new Error('there is room again')
    expect(third.partition.id).toBeGreaterThan(second.partition.id)
  })

  test('a deleted partition hears INVALID_CONNECTION_ID, and is not polled', () => {
    const guest = new Guest().boot()
    const signals = new Signals()
    const { connection } = guest.eventPort(0x2001, 1, signals)
    guest.signal(connection)
    expect(guest.hypervisor.deletePartition(guest.partition.id)).toBe(HvStatus.SUCCESS)
    expect(guest.signal(connection)).toBe(HvStatus.INVALID_CONNECTION_ID)
    expect(guest.hypervisor.poll(10)).toBe(0)
    expect(signals.flags).toEqual([])
    expect(guest.hypervisor.inspect()).toMatchObject({ ports: 0, partitions: [] })
  })

  test('a port goes with the partition that owns it, and its peers hear INVALID_PORT_ID', () => {
    const guest = new Guest().boot()
    const { hypervisor } = guest
    const memory = GuestMemory.create({ sizeBytes: RAM_BYTES })
    const owning = hypervisor.createPartition({ memory, vpCount: 1, wakeVp: [new Bell()] })
    if (!owning.ok) throw new Error('there is room for a second partition')
    const owner = owning.partition.id
    const target = { vp: 0, sint: SINT, baseFlag: 0 }
    const connectionPartition = guest.partition.id
    hypervisor.createEventPort({
      owner,
      portId: portId(1),
      connectionPartition,
      flagCount: 1,
      target,
    })
    hypervisor.connectPort(connectionPartition, connectionId(1), portId(1), owner)
    expect(guest.signal(1)).toBe(HvStatus.SUCCESS)
    hypervisor.deletePartition(owner)
    expect(guest.signal(1)).toBe(HvStatus.INVALID_PORT_ID)
    // The signal that was on its way is nobody's now: taken, and counted.
    expect(hypervisor.poll(10)).toBe(1)
    expect(hypervisor.poll(10)).toBe(0)
  })

  test('a handler may delete the partition whose message it is given', () => {
    const guest = new Guest().boot()
    let received = 0
    const { connection } = guest.messagePort(1, {
      canReceive: () => true,
      receiveMessage() {
        received++
        guest.hypervisor.deletePartition(guest.partition.id)
      },
    })
    guest.post(connection, 1, new Uint8Array(1))
    guest.post(connection, 1, new Uint8Array(1))
    expect(guest.hypervisor.poll(10)).toBe(1)
    expect(guest.hypervisor.poll(10)).toBe(0)
    expect(received).toBe(1)
  })
})

describe('messages that take more than a unit', () => {
  function costly(units: number) {
    const guest = new Guest().boot()
    const handler = { open: true, received: 0 }
    const { connection } = guest.messagePort(1, {
      canReceive: () => handler.open,
      receiveMessage: () => void handler.received++,
      get messageUnits() {
        return units
      },
    })
    for (let i = 0; i < 16; i++) guest.post(connection, 1, new Uint8Array(1))
    return { guest, handler }
  }

  test('are charged to the poll, which leaves the others for the next', () => {
    const { guest, handler } = costly(8)
    for (const received of [4, 8, 12, 16]) {
      expect(guest.hypervisor.poll(32)).toBe(32)
      expect(handler.received).toBe(received)
    }
    expect(guest.hypervisor.poll(32)).toBe(0)
    expect(guest.hypervisor.arm()).toBe(false)
  })

  test('and one that takes more than a whole poll is taken alone', () => {
    const { guest, handler } = costly(100)
    expect(guest.hypervisor.poll(32)).toBe(100)
    expect(handler.received).toBe(1)
    expect(guest.hypervisor.arm()).toBe(true)
  })

  test('are charged too, and none is forgotten, when a handler that refused accepts again', () => {
    const { guest, handler } = costly(8)
    handler.open = false
    expect(guest.hypervisor.poll(32)).toBe(0)
    expect(guest.hypervisor.arm()).toBe(false)
    handler.open = true
    for (const received of [4, 8, 12, 16]) {
      expect(guest.hypervisor.arm()).toBe(true)
      expect(guest.hypervisor.poll(32)).toBe(32)
      expect(handler.received).toBe(received)
    }
    expect(guest.hypervisor.poll(32)).toBe(0)
    expect(guest.hypervisor.arm()).toBe(false)
  })
})

describe('ports', () => {
  test('a port needs a partition that may connect, and an id of its own', () => {
    const guest = new Guest()
    const target = new Signals()
    const base = {
      owner: ROOT_PARTITION_ID,
      portId: portId(1),
      connectionPartition: guest.partition.id,
      flagCount: 1,
      target,
    }
    const { hypervisor } = guest
    expect(hypervisor.createEventPort({ ...base, connectionPartition: NOBODY })).toBe(
      HvStatus.INVALID_PARTITION_ID,
    )
    expect(hypervisor.createEventPort({ ...base, owner: NOBODY })).toBe(
      HvStatus.INVALID_PARTITION_ID,
    )
    expect(hypervisor.createEventPort({ ...base, flagCount: 0 })).toBe(HvStatus.INVALID_PARAMETER)
    expect(hypervisor.createEventPort({ ...base, flagCount: 2049 })).toBe(
      HvStatus.INVALID_PARAMETER,
    )
    expect(hypervisor.createEventPort(base)).toBe(HvStatus.SUCCESS)
    expect(hypervisor.createEventPort(base)).toBe(HvStatus.INVALID_PORT_ID)
    expect(hypervisor.deletePort(ROOT_PARTITION_ID, portId(2))).toBe(HvStatus.INVALID_PORT_ID)
  })

  test('a connection needs a port that was made for its partition, and an id of its own', () => {
    const guest = new Guest()
    const { port } = guest.eventPort(1, 1, new Signals())
    const { hypervisor, partition } = guest
    expect(hypervisor.connectPort(NOBODY, connectionId(2), port)).toBe(
      HvStatus.INVALID_PARTITION_ID,
    )
    expect(hypervisor.connectPort(partition.id, connectionId(2), portId(7))).toBe(
      HvStatus.INVALID_PORT_ID,
    )
    expect(hypervisor.connectPort(partition.id, connectionId(1), port)).toBe(
      HvStatus.INVALID_CONNECTION_ID,
    )
    expect(hypervisor.disconnectPort(partition.id, connectionId(9))).toBe(
      HvStatus.INVALID_CONNECTION_ID,
    )
    expect(hypervisor.disconnectPort(partition.id, connectionId(1))).toBe(HvStatus.SUCCESS)
    expect(hypervisor.connectPort(partition.id, connectionId(1), port)).toBe(HvStatus.SUCCESS)
  })

  test('a deleted port is INVALID_PORT_ID to its guest until the connection goes too', () => {
    const guest = new Guest().boot()
    const signals = new Signals()
    const event = guest.eventPort(0x2001, 1, signals)
    const mail = guest.messagePort(1, new Mailbox())
    guest.signal(event.connection)
    guest.post(mail.connection, 1, new Uint8Array(1))
    guest.hypervisor.deletePort(ROOT_PARTITION_ID, event.port)
    guest.hypervisor.deletePort(ROOT_PARTITION_ID, mail.port)
    expect(guest.hypervisor.poll(10)).toBe(1)
    expect(guest.signal(event.connection)).toBe(HvStatus.INVALID_PORT_ID)
    expect(guest.post(mail.connection, 1, new Uint8Array(1))).toBe(HvStatus.INVALID_PORT_ID)
    guest.hypervisor.disconnectPort(guest.partition.id, event.connection)
    expect(guest.signal(event.connection)).toBe(HvStatus.INVALID_CONNECTION_ID)
    expect(signals.flags).toEqual([])
  })

  test('the ninth message port and the 2049th event flag are NO_RESOURCES, and come free again', () => {
    const guest = new Guest()
    for (let i = 1; i <= 8; i++) guest.messagePort(i, new Mailbox())
    const owner = ROOT_PARTITION_ID
    const ninth = {
      owner,
      portId: portId(9),
      connectionPartition: guest.partition.id,
      target: new Mailbox(),
    }
    expect(guest.hypervisor.createMessagePort(ninth)).toBe(HvStatus.NO_RESOURCES)
    guest.hypervisor.deletePort(owner, portId(3))
    expect(guest.hypervisor.createMessagePort(ninth)).toBe(HvStatus.SUCCESS)

    guest.eventPort(100, 2048, new Signals())
    const more = {
      owner,
      portId: portId(101),
      connectionPartition: guest.partition.id,
      flagCount: 1,
      target: new Signals(),
    }
    expect(guest.hypervisor.createEventPort(more)).toBe(HvStatus.SUCCESS)
    expect(guest.hypervisor.connectPort(guest.partition.id, connectionId(101), portId(101))).toBe(
      HvStatus.NO_RESOURCES,
    )
    guest.hypervisor.disconnectPort(guest.partition.id, connectionId(100))
    expect(guest.hypervisor.connectPort(guest.partition.id, connectionId(101), portId(101))).toBe(
      HvStatus.SUCCESS,
    )
  })

  test('a port of a partition moves messages and flags to the SINT of its VP', () => {
    const guest = new Guest({ vpCount: 2 }).boot()
    const id = guest.partition.id
    const identity = { owner: id, connectionPartition: id }
    const { hypervisor } = guest
    expect(
      hypervisor.createMessagePort({
        ...identity,
        portId: portId(1),
        target: { vp: 1, sint: SINT },
      }),
    ).toBe(HvStatus.SUCCESS)
    expect(
      hypervisor.createEventPort({
        ...identity,
        portId: portId(2),
        flagCount: 8,
        target: { vp: 1, sint: SINT, baseFlag: 40 },
      }),
    ).toBe(HvStatus.SUCCESS)
    expect(
      hypervisor.createEventPort({
        ...identity,
        portId: portId(3),
        flagCount: 9,
        target: { vp: 1, sint: SINT, baseFlag: 2040 },
      }),
    ).toBe(HvStatus.INVALID_PARAMETER)
    expect(
      hypervisor.createMessagePort({
        ...identity,
        portId: portId(4),
        target: { vp: 2, sint: SINT },
      }),
    ).toBe(HvStatus.INVALID_PARAMETER)
    expect(
      hypervisor.createMessagePort({ ...identity, portId: portId(4), target: { vp: 1, sint: 16 } }),
    ).toBe(HvStatus.INVALID_PARAMETER)
    hypervisor.connectPort(id, connectionId(1), portId(1), id)
    hypervisor.connectPort(id, connectionId(2), portId(2), id)
    guest.post(1, 5, new Uint8Array([1, 2, 3]))
    guest.signal(2, 6)
    hypervisor.poll(10)
    expect(guest.takeInterrupt(1)).toBe(VECTOR)
    expect(guest.eventWord(46, SINT, 1)).toBe(1 << 14)
    expect(guest.takeMessage(SINT, 1)).toMatchObject({
      type: 5,
      payload: new Uint8Array([1, 2, 3]),
    })
    // The sender of a port's message is the port.
    expect(guest.memory.view.getBigUint64(guest.simGpa(1) + SINT * 256 + 8, true)).toBe(1n)
  })

  test('a poll takes its budget of an outbox, and later polls the rest in the order of their posts', () => {
    const guest = new Guest().boot()
    const mailbox = new Mailbox()
    const { connection } = guest.messagePort(7, mailbox)
    const signals = new Signals()
    const bell = guest.eventPort(8, 300, signals)
    for (let i = 0; i < 16; i += 1) expect(guest.post(connection, 1, Uint8Array.of(i))).toBe(0)
    for (let flag = 0; flag < 300; flag += 1) expect(guest.signal(bell.connection, flag)).toBe(0)
    const sizes: number[] = []
    while (guest.hypervisor.arm()) sizes.push(guest.hypervisor.poll(5))
    expect(Math.max(...sizes)).toBeLessThanOrEqual(5 + 127)
    expect(sizes.slice(0, 3)).toEqual([5, 5, 5])
    expect(mailbox.received.map(({ payload }) => payload[0])).toEqual([...Array(16).keys()])
    expect(signals.flags.toSorted((a, b) => a - b)).toEqual([...Array(300).keys()])
  })

  test('what a poll left is nobody’s after its partition is deleted', () => {
    const guest = new Guest().boot()
    const mailbox = new Mailbox()
    const { connection } = guest.messagePort(7, mailbox)
    for (let i = 0; i < 16; i += 1) guest.post(connection, 1, Uint8Array.of(i))
    guest.hypervisor.poll(3)
    guest.hypervisor.deletePartition(guest.partition.id)
    expect(guest.hypervisor.arm()).toBe(false)
    guest.hypervisor.poll(64)
    expect(mailbox.received.length).toBe(3)
  })

  test('a port whose SINT is full keeps what comes in its buffers until there is room', () => {
    const guest = new Guest().boot()
    const id = guest.partition.id
    guest.hypervisor.createMessagePort({
      owner: id,
      connectionPartition: id,
      portId: portId(1),
      target: { vp: 0, sint: SINT },
    })
    guest.hypervisor.connectPort(id, connectionId(1), portId(1), id)
    let accepted = 0
    while (guest.post(1, 1, new Uint8Array([accepted])) === HvStatus.SUCCESS) {
      accepted++
      guest.hypervisor.poll(10)
    }
    // Sixteen in the SINT's queue and sixteen in the port.
    expect(accepted).toBe(32)
    const seen: number[] = []
    for (let step = 0; step < 100; step++) {
      guest.takeInterrupt()
      const message = guest.takeMessage()
      if (message !== undefined) seen.push(message.payload[0]!)
      guest.hypervisor.poll(10)
    }
    expect(seen).toEqual(Array.from({ length: 32 }, (_, i) => i))
  })
})

describe('what a VP keeps of connections and of the hypercall page', () => {
  test('is given up when another VP, or the root, changes it', () => {
    const guest = new Guest({ vpCount: 2 }).boot()
    const first = new Signals()
    const { connection } = guest.eventPort(0x2001, 4, first)
    expect(guest.signal(connection, 3, 1)).toBe(HvStatus.SUCCESS)
    guest.hypervisor.disconnectPort(guest.partition.id, connection)
    expect(guest.signal(connection, 3, 1)).toBe(HvStatus.INVALID_CONNECTION_ID)
    const second = new Signals()
    guest.eventPort(0x2002, 2, second)
    expect(guest.hypervisor.connectPort(guest.partition.id, connection, portId(0x2002))).toBe(
      HvStatus.SUCCESS,
    )
    expect(guest.signal(connection, 3, 1)).toBe(HvStatus.INVALID_PARAMETER)
    expect(guest.signal(connection, 1, 1)).toBe(HvStatus.SUCCESS)
    guest.hypervisor.poll(100)
    expect(second.flags).toEqual([1])
    guest.vp.writeMsr(SyntheticMsr.GUEST_OS_ID, 0, 0)
    expect(guest.signal(connection, 1, 1)).toBe(HYPERCALL_UNDEFINED_OPCODE)
  })

  test('connections whose ids differ in high bits only keep their own descriptors', () => {
    const guest = new Guest().boot()
    const ports = [0x1, 0x2001, 0x4001, 0xf0_0001].map((id) => ({ id, signals: new Signals() }))
    for (const port of ports) guest.eventPort(port.id, 1, port.signals)
    for (let round = 0; round < 3; round++) for (const port of ports) guest.signal(port.id)
    expect(guest.signal(0x1)).toBe(HvStatus.SUCCESS)
    expect(guest.signal(0x0100_0001)).toBe(HvStatus.INVALID_CONNECTION_ID)
    expect(guest.signal(0x8000_0001)).toBe(HvStatus.INVALID_CONNECTION_ID)
    guest.hypervisor.poll(100)
    expect(ports.map((port) => port.signals.flags)).toEqual([[0], [0], [0], [0]])
  })
})

describe('the connection table', () => {
  test('insertions and removals of any ids leave exactly the connections that are there', () => {
    const id = fc.oneof(
      fc.integer({ min: 0, max: 40 }),
      fc.integer({ min: 0, max: 0xff_ffff }),
      fc.integer({ min: 0, max: 60 }).map((i) => 0x2000 + i),
    )
    fc.assert(
      fc.property(fc.array(fc.tuple(fc.boolean(), id)), (steps) => {
        const page = new Int32Array(new SharedArrayBuffer(PARTITION_PAGE_BYTES))
        const table = new ConnectionTable(page)
        const model = new Map<number, number>()
        for (const [add, id] of steps) {
          const row = model.get(id)
          if (add && row === undefined) model.set(id, table.insert(id, id + 1))
          if (!add && row !== undefined) {
            table.remove(row)
            model.delete(id)
          }
          for (const [, asked] of steps) {
            expect(lookUpConnection(page, asked)).toBe(model.has(asked) ? asked + 1 : 0)
          }
        }
      }),
    )
  })

  test('ids that all want the same row are refused when their neighbourhood is full, and found until then', () => {
    const page = new Int32Array(new SharedArrayBuffer(PARTITION_PAGE_BYTES))
    const table = new ConnectionTable(page)
    // id ^ (id >>> 12) has the same low bits for k << 12 | k.
    const ids = Array.from({ length: 40 }, (_, k) => (k << 12) | k)
    const rows = ids.map((id) => table.insert(id, 7))
    expect(rows.filter((row) => row >= 0)).toHaveLength(32)
    ids.forEach((id, i) => expect(lookUpConnection(page, id)).toBe(rows[i]! >= 0 ? 7 : 0))
    table.remove(rows[0]!)
    expect(lookUpConnection(page, ids[31]!)).toBe(7)
    expect(table.insert(ids[39]!, 9)).toBe(rows[0])
  })
})
