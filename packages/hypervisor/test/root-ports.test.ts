// The root's calls about ports, messages and interrupts (TLFS, "Ports and Connections", "Interrupts").

import {
  AssertVirtualInterruptInput,
  ConnectPortInput,
  CreatePortInput,
  HvInterruptType,
  HvPortType,
  HvStatus,
  HypercallCode,
  MapDeviceInterruptInput,
  PortInput,
  PostMessageDirectInput,
  PostMessageInput,
  RetargetDeviceInterruptInput,
  SignalEventDirectInput,
  UnmapDeviceInterruptInput,
  hypercallInputLow,
  portId,
} from '@guestyard/hvdef'
import { describe, expect, test } from 'vitest'

import { ROOT_PARTITION_ID } from '../src/index.ts'
import type { DeviceInterrupts } from '../src/index.ts'
import { NMI_VECTOR } from '../src/index.ts'
import { Guest, Mailbox, SINT, Signals, VECTOR } from './guest.ts'
import { Root } from './root.ts'

/** A booted guest whose root makes calls. */
class Yard extends Root {
  readonly guest: Guest = new Guest({ vpCount: 2 }).boot()
  override readonly hypervisor = this.guest.hypervisor
  readonly id: number = this.guest.partition.id

  port(type: number, id: number, owner: number, connecting: number, target = {}): number {
    return this.call(
      'HvCallCreatePort',
      CreatePortInput.pack({
        portPartitionId: BigInt(owner),
        portId: id,
        portVtl: 0,
        minConnectionVtl: 0,
        connectionPartitionId: BigInt(connecting),
        portInfo: {
          portType: type,
          padding: 0,
          targetSint: SINT,
          targetVp: 0,
          baseFlagNumber: 0,
          flagCount: 4,
          reserved: 0,
          ...target,
        },
        proximityDomain: 0n,
      }),
    )
  }

  connect(type: number, partition: number, connection: number, owner: number, id: number): number {
    return this.call(
      'HvCallConnectPort',
      ConnectPortInput.pack({
        connectionPartitionId: BigInt(partition),
        connectionId: connection,
        connectionVtl: 0,
        portPartitionId: BigInt(owner),
        portId: id,
        connectionType: type,
        connectionInfo: new Uint8Array(24),
        proximityDomain: 0n,
      }),
    )
  }

  drop(name: 'HvCallDeletePort' | 'HvCallDisconnectPort', partition: number, id: number): number {
    return this.call(name, PortInput.pack({ partitionId: BigInt(partition), id }))
  }
}

const ROOT = ROOT_PARTITION_ID

describe('ports and connections by call', () => {
  test('messages for a port of the root’s wait until a handler is bound, and then arrive', () => {
    const yard = new Yard()
    const mailbox = new Mailbox()
    expect(yard.port(HvPortType.MESSAGE, 9, ROOT, yard.id)).toBe(HvStatus.SUCCESS)
    expect(yard.connect(HvPortType.MESSAGE, yard.id, 1, ROOT, 9)).toBe(HvStatus.SUCCESS)
    expect(yard.guest.post(1, 5, new Uint8Array([1, 2]))).toBe(HvStatus.SUCCESS)
    yard.hypervisor.poll(10)
    expect(yard.hypervisor.bindMessages(portId(9), mailbox)).toBe(HvStatus.SUCCESS)
    yard.hypervisor.poll(10)
    expect(mailbox.received).toEqual([{ type: 5, payload: [1, 2], vp: 0 }])
    expect(yard.hypervisor.bindMessages(portId(8), mailbox)).toBe(HvStatus.INVALID_PORT_ID)
    expect(yard.hypervisor.bindSignals(portId(9), new Signals())).toBe(HvStatus.INVALID_PORT_ID)
  })

  test('signals reach the handler of an event port, by their flag', () => {
    const yard = new Yard()
    const signals = new Signals()
    expect(yard.port(HvPortType.EVENT, 9, ROOT, yard.id)).toBe(HvStatus.SUCCESS)
    yard.hypervisor.bindSignals(portId(9), signals)
    yard.connect(HvPortType.EVENT, yard.id, 0x2001, ROOT, 9)
    expect(yard.guest.signal(0x2001, 3)).toBe(HvStatus.SUCCESS)
    expect(yard.guest.signal(0x2001, 4)).toBe(HvStatus.INVALID_PARAMETER)
    yard.hypervisor.poll(10)
    expect(signals.flags).toEqual([3])
  })

  test('what is wrong with a port or a connection has its status', () => {
    const yard = new Yard()
    const { MESSAGE, EVENT, MONITOR } = HvPortType
    expect(yard.port(MONITOR, 1, ROOT, yard.id)).toBe(HvStatus.INVALID_PARAMETER)
    expect(yard.port(MESSAGE, 1, ROOT, 99)).toBe(HvStatus.INVALID_PARTITION_ID)
    expect(yard.port(MESSAGE, 1, 99, yard.id)).toBe(HvStatus.INVALID_PARTITION_ID)
    expect(yard.port(MESSAGE, 0x0100_0000, ROOT, yard.id)).toBe(HvStatus.INVALID_PORT_ID)
    expect(yard.port(MESSAGE, 1, ROOT, yard.id, { targetSint: 16 })).toBe(
      HvStatus.INVALID_PARAMETER,
    )
    expect(yard.port(MESSAGE, 1, yard.id, yard.id, { targetVp: 2 })).toBe(
      HvStatus.INVALID_PARAMETER,
    )
    expect(yard.port(EVENT, 1, ROOT, yard.id, { flagCount: 0 })).toBe(HvStatus.INVALID_PARAMETER)
    expect(yard.port(EVENT, 1, ROOT, yard.id)).toBe(HvStatus.SUCCESS)
    expect(yard.port(EVENT, 1, ROOT, yard.id)).toBe(HvStatus.INVALID_PORT_ID)
    expect(yard.connect(MESSAGE, yard.id, 7, ROOT, 1)).toBe(HvStatus.INVALID_PARAMETER)
    expect(yard.connect(EVENT, yard.id, 0x0100_0000, ROOT, 1)).toBe(HvStatus.INVALID_CONNECTION_ID)
    expect(yard.connect(EVENT, 99, 7, ROOT, 1)).toBe(HvStatus.INVALID_PARTITION_ID)
    expect(yard.connect(EVENT, ROOT, 7, ROOT, 1)).toBe(HvStatus.INVALID_PORT_ID)
    expect(yard.connect(EVENT, yard.id, 7, ROOT, 2)).toBe(HvStatus.INVALID_PORT_ID)
    expect(yard.connect(EVENT, yard.id, 7, ROOT, 1)).toBe(HvStatus.SUCCESS)
    expect(yard.connect(EVENT, yard.id, 7, ROOT, 1)).toBe(HvStatus.INVALID_CONNECTION_ID)
    expect(yard.drop('HvCallDisconnectPort', yard.id, 8)).toBe(HvStatus.INVALID_CONNECTION_ID)
    expect(yard.drop('HvCallDeletePort', ROOT, 1)).toBe(HvStatus.SUCCESS)
    expect(yard.guest.signal(7)).toBe(HvStatus.INVALID_PORT_ID)
    expect(yard.drop('HvCallDisconnectPort', yard.id, 7)).toBe(HvStatus.SUCCESS)
    expect(yard.guest.signal(7)).toBe(HvStatus.INVALID_CONNECTION_ID)
  })

  test('the root posts and signals by its own connections to a child’s ports', () => {
    const yard = new Yard()
    const { MESSAGE, EVENT } = HvPortType
    expect(yard.port(MESSAGE, 1, yard.id, ROOT)).toBe(HvStatus.SUCCESS)
    expect(yard.port(EVENT, 2, yard.id, ROOT, { baseFlagNumber: 8 })).toBe(HvStatus.SUCCESS)
    expect(yard.connect(MESSAGE, ROOT, 1, yard.id, 1)).toBe(HvStatus.SUCCESS)
    expect(yard.connect(EVENT, ROOT, 2, yard.id, 2)).toBe(HvStatus.SUCCESS)
    const post = (connectionId: number) =>
      yard.call(
        'HvCallPostMessage',
        PostMessageInput.pack({
          connectionId,
          messageType: 3,
          payloadSize: 2,
          payload: Uint8Array.from({ length: 240 }, (_, i) => i + 1),
        }),
      )
    const signal = (connection: number, flag: number) =>
      yard.hypervisor.root.hypercall(
        hypercallInputLow(HypercallCode.SIGNAL_EVENT, true),
        0,
        connection,
        flag,
        0,
        0,
      )
    expect(post(1)).toBe(HvStatus.SUCCESS)
    expect(signal(2, 1)).toBe(HvStatus.SUCCESS)
    expect(yard.guest.takeInterrupt()).toBe(VECTOR)
    expect(yard.guest.takeMessage()?.payload).toEqual(new Uint8Array([1, 2]))
    expect(yard.guest.eventWord(9)).toBe(1 << 9)
    expect(post(2)).toBe(HvStatus.INVALID_CONNECTION_ID)
    expect(signal(2, 4)).toBe(HvStatus.INVALID_PARAMETER)
    for (let i = 0; i < 16; i++) expect(post(1)).toBe(HvStatus.SUCCESS)
    expect(post(1)).toBe(HvStatus.INSUFFICIENT_BUFFERS)
    yard.drop('HvCallDeletePort', yard.id, 1)
    expect(post(1)).toBe(HvStatus.INVALID_PORT_ID)
    expect(yard.drop('HvCallDisconnectPort', ROOT, 1)).toBe(HvStatus.SUCCESS)
    expect(post(1)).toBe(HvStatus.INVALID_CONNECTION_ID)
  })
})

describe('what goes past ports', () => {
  test('HvCallSignalEventDirect sets a flag of a VP’s SINT, in its fast form too', () => {
    const yard = new Yard()
    const signal = (vp: number, sint: number, flag: number) =>
      yard.call(
        'HvCallSignalEventDirect',
        SignalEventDirectInput.pack({
          targetPartitionId: BigInt(yard.id),
          targetVp: vp,
          targetVtl: 0,
          targetSint: sint,
          flagNumber: flag,
        }),
      )
    expect(signal(0, SINT, 5)).toBe(HvStatus.SUCCESS)
    const low = hypercallInputLow(HypercallCode.SIGNAL_EVENT_DIRECT, true)
    const high = (SINT << 8) | (6 << 16)
    expect(yard.hypervisor.root.hypercall(low, 0, yard.id, 0, 0, high)).toBe(HvStatus.SUCCESS)
    expect(yard.guest.takeInterrupt()).toBe(VECTOR)
    expect(yard.guest.eventWord(5)).toBe((1 << 5) | (1 << 6))
    expect(signal(2, SINT, 5)).toBe(HvStatus.INVALID_VP_INDEX)
    expect(signal(0, 16, 5)).toBe(HvStatus.INVALID_PARAMETER)
    expect(signal(0, 3, 5)).toBe(HvStatus.INVALID_SYNIC_STATE)
  })

  test('HvCallPostMessageDirect puts a message into a VP’s slot, whoever it says it is from', () => {
    const yard = new Yard()
    const post = (messageType: number, payloadSize: number) =>
      yard.call(
        'HvCallPostMessageDirect',
        PostMessageDirectInput.pack({
          targetPartitionId: BigInt(yard.id),
          targetVp: 1,
          targetVtl: 0,
          targetSint: SINT,
          message: {
            header: { messageType, payloadSize, messageFlags: 0, reserved: 0, sender: 0x99n },
            payload: Uint8Array.from({ length: 240 }, (_, i) => i),
          },
        }),
      )
    expect(post(0x8001_0004, 240)).toBe(HvStatus.SUCCESS)
    yard.guest.vps[1]!.deliver()
    expect(yard.guest.memory.view.getUint32(yard.guest.simGpa(1) + SINT * 256 + 8, true)).toBe(0x99)
    expect(yard.guest.takeMessage(SINT, 1)).toMatchObject({ type: 0x8001_0004 })
    expect(post(0, 4)).toBe(HvStatus.INVALID_PARAMETER)
    expect(post(1, 241)).toBe(HvStatus.INVALID_PARAMETER)
  })

  test('HvCallAssertVirtualInterrupt reaches the VPs that the destination names', () => {
    const yard = new Yard()
    const assert = (vector: number, destination: number, flags = 0, interruptType = 0) =>
      yard.call(
        'HvCallAssertVirtualInterrupt',
        AssertVirtualInterruptInput.pack({
          partitionId: BigInt(yard.id),
          interruptType,
          flags,
          destination: BigInt(destination),
          vector,
          targetVtl: 0,
        }),
      )
    expect(assert(0x40, 1)).toBe(HvStatus.SUCCESS)
    expect([yard.guest.vps[0]!.deliver(), yard.guest.takeInterrupt(1)]).toEqual([-1, 0x40])
    expect(assert(0x41, 0xff)).toBe(HvStatus.SUCCESS)
    expect([yard.guest.takeInterrupt(0), yard.guest.takeInterrupt(1)]).toEqual([0x41, 0x41])
    expect(assert(0x42, 2, 2)).toBe(HvStatus.SUCCESS)
    expect([yard.guest.takeInterrupt(0), yard.guest.takeInterrupt(1)]).toEqual([-1, 0x42])
    expect(assert(0x43, 3, 2, HvInterruptType.LOWEST_PRIORITY)).toBe(HvStatus.SUCCESS)
    expect([yard.guest.takeInterrupt(0), yard.guest.takeInterrupt(1)]).toEqual([0x43, -1])
    expect(assert(0, 0, 0, HvInterruptType.NMI)).toBe(HvStatus.SUCCESS)
    expect(yard.guest.vp.deliver()).toBe(NMI_VECTOR)
    expect(assert(15, 0)).toBe(HvStatus.INVALID_PARAMETER)
    expect(assert(0x40, 2)).toBe(HvStatus.INVALID_PARAMETER)
    expect(assert(0x40, 0, 4)).toBe(HvStatus.INVALID_PARAMETER)
    expect(assert(0x40, 0, 0, 7)).toBe(HvStatus.INVALID_PARAMETER)
  })

  test('the end of a level-triggered interrupt is told, and it stays away', () => {
    const ended: number[] = []
    const guest = new Guest({
      listener: { queueSpace() {}, interruptEnded: (_, vector) => void ended.push(vector) },
    }).boot()
    guest.partition.vps[0]!.requestLevelInterrupt(0x50)
    expect(guest.takeInterrupt()).toBe(0x50)
    guest.hypervisor.poll(10)
    expect([ended, guest.takeInterrupt()]).toEqual([[0x50], -1])
  })
})

describe('device interrupts', () => {
  test('reach the root’s table with the destination that the call names', () => {
    const asked: unknown[] = []
    const devices: DeviceInterrupts = {
      map(partition, device, destination, out) {
        asked.push(['map', partition, device, destination])
        out.address = 0xfee0_0000
        out.data = 0x41
        return HvStatus.SUCCESS
      },
      unmap: (...args) => (asked.push(['unmap', ...args]), HvStatus.SUCCESS),
      retarget: (...args) => (asked.push(['retarget', ...args]), HvStatus.SUCCESS),
    }
    const root = new Root({ devices })
    const entry = { source: 1, reserved: 0, msiAddress: 0xfee0_0000, msiData: 0x41 }
    const of = { partitionId: 2n, deviceId: 7n }
    expect(
      root.call(
        'HvCallMapDeviceInterrupt',
        MapDeviceInterruptInput.pack({
          ...of,
          flags: 0,
          baseIrtIndex: 0,
          logicalEntry: entry,
          interruptType: 0,
          triggerMode: 1,
          vectorCount: 1,
          target: { vector: 0x55, flags: 1, vpMask: 3n },
        }),
      ),
    ).toBe(HvStatus.SUCCESS)
    expect([root.u32(), root.u32(8), root.u32(12)]).toEqual([1, 0xfee0_0000, 0x41])
    const retarget = (flags: number, vpMask: bigint) =>
      root.call(
        'HvCallRetargetDeviceInterrupt',
        RetargetDeviceInterruptInput.pack({
          ...of,
          entry,
          reserved: 0n,
          target: { vector: 0x56, flags, vpMask },
        }),
      )
    expect(retarget(0, 1n << 40n)).toBe(HvStatus.SUCCESS)
    expect(retarget(4, 1n)).toBe(HvStatus.INVALID_PARAMETER)
    expect(retarget(0, 0n)).toBe(HvStatus.INVALID_PARAMETER)
    // A sparse set needs its banks in the variable header.
    expect(retarget(2, 0n)).toBe(HvStatus.INVALID_PARAMETER)
    expect(retarget(2, 1n)).toBe(HvStatus.SUCCESS)
    expect(
      root.call(
        'HvCallUnmapDeviceInterrupt',
        UnmapDeviceInterruptInput.pack({ ...of, entry, flags: 0 }),
      ),
    ).toBe(HvStatus.SUCCESS)
    const message = { address: 0xfee0_0000, data: 0x41 }
    const all = { isMulticast: false, vpsLow: 0xffff_ffff, vpsHigh: 0xffff_ffff }
    expect(asked).toEqual([
      ['map', 2, 7, { vector: 0x55, isLevel: true, isMulticast: true, vpsLow: 3, vpsHigh: 0 }],
      [
        'retarget',
        2,
        7,
        message,
        { vector: 0x56, isLevel: false, isMulticast: false, vpsLow: 0, vpsHigh: 256 },
      ],
      ['retarget', 2, 7, message, { vector: 0x56, isLevel: false, ...all }],
      ['unmap', 2, 7, message],
    ])
  })

  test('a machine without such a table knows no device', () => {
    const root = new Root()
    const entry = { source: 1, reserved: 0, msiAddress: 1, msiData: 1 }
    const block = UnmapDeviceInterruptInput.pack({ partitionId: 2n, deviceId: 7n, entry, flags: 0 })
    expect(root.call('HvCallUnmapDeviceInterrupt', block)).toBe(HvStatus.INVALID_DEVICE_ID)
  })
})
