// The root's calls about partitions, memory and processors (TLFS, "Partition Management", "GPA Spaces").

import {
  FlushVirtualAddressInput,
  GetNextChildPartitionInput,
  GetPartitionPropertyInput,
  HV_PARTITION_ID_SELF,
  HvMapFlags,
  HvPartitionProperty,
  HvRegister,
  HvStatus,
  HvTranslateResult,
  RegisterAssoc,
  SendClusterIpiInput,
  StartVirtualProcessorInput,
  TranslateVirtualAddressInput,
} from '@guestyard/hvdef'
import { SlatKind, slatKind, slatNumber, slatRights } from '@guestyard/guestmem'
import { describe, expect, test } from 'vitest'

import { ROOT_PARTITION_ID, VPS_MAX, VirtualProcessor } from '../src/index.ts'
import { PARTITION_PAGES, VP_PAGES } from '../src/root-calls/partition-calls.ts'
import { Root, list } from './root.ts'

const NOBODY = 77
const P = HvPartitionProperty

describe('the life of a partition', () => {
  test('is created, initialised, finalised and deleted in this order only', () => {
    const root = new Root()
    const id = root.create()
    root.deposit(id, PARTITION_PAGES)
    expect(root.createVp(id, 0)).toBe(HvStatus.INVALID_PARTITION_STATE)
    expect(root.on('HvCallDeletePartition', id)).toBe(HvStatus.INVALID_PARTITION_STATE)
    expect(root.on('HvCallInitializePartition', id)).toBe(HvStatus.SUCCESS)
    expect(root.on('HvCallInitializePartition', id)).toBe(HvStatus.INVALID_PARTITION_STATE)
    expect(root.on('HvCallDeletePartition', id)).toBe(HvStatus.INVALID_PARTITION_STATE)
    expect(root.on('HvCallFinalizePartition', id)).toBe(HvStatus.SUCCESS)
    expect(root.on('HvCallFinalizePartition', id)).toBe(HvStatus.INVALID_PARTITION_STATE)
    expect(root.deposit(id, 1)).toBe(HvStatus.INVALID_PARTITION_STATE)
    expect(root.set(id, P.CPU_WEIGHT, 5n)).toBe(HvStatus.INVALID_PARTITION_STATE)
    expect(root.on('HvCallDeletePartition', id)).toBe(HvStatus.OBJECT_IN_USE)
    expect(root.call('HvCallWithdrawMemory', list(16, [id], []), PARTITION_PAGES)).toBe(0)
    expect(root.on('HvCallDeletePartition', id)).toBe(HvStatus.SUCCESS)
    expect(root.on('HvCallDeletePartition', id)).toBe(HvStatus.INVALID_PARTITION_ID)
    expect(root.create()).toBe(id + 1)
  })

  test('Initialize and CreateVp are INSUFFICIENT_MEMORY until enough was deposited', () => {
    const root = new Root()
    const id = root.create()
    expect(root.on('HvCallInitializePartition', id)).toBe(HvStatus.INSUFFICIENT_MEMORY)
    root.deposit(id, PARTITION_PAGES - 1)
    expect(root.on('HvCallInitializePartition', id)).toBe(HvStatus.INSUFFICIENT_MEMORY)
    root.deposit(id, 1)
    expect(root.on('HvCallInitializePartition', id)).toBe(HvStatus.SUCCESS)
    root.back(id)
    expect(root.createVp(id, 0)).toBe(HvStatus.INSUFFICIENT_MEMORY)
    root.deposit(id, VP_PAGES)
    expect(root.createVp(id, 0)).toBe(HvStatus.SUCCESS)
    expect(root.call('HvCallGetMemoryBalance', list(16, [id], []))).toBe(0)
    expect([root.u64(), root.u64(8)]).toEqual([0, PARTITION_PAGES + VP_PAGES])
  })

  test('a partition that is not there is INVALID_PARTITION_ID, and the root is no child of itself', () => {
    const root = new Root()
    for (const name of [
      'HvCallInitializePartition',
      'HvCallFinalizePartition',
      'HvCallDeletePartition',
    ] as const) {
      expect(root.on(name, NOBODY)).toBe(HvStatus.INVALID_PARTITION_ID)
      expect(root.on(name, 0)).toBe(HvStatus.INVALID_PARTITION_ID)
      expect(root.on(name, ROOT_PARTITION_ID)).toBe(HvStatus.ACCESS_DENIED)
    }
  })

  test('finalising takes VPs, ports, connections and mappings away', () => {
    const root = new Root()
    const id = root.active()
    root.createVp(id, 0)
    root.createVp(id, 1)
    const { hypervisor } = root
    const extent = hypervisor.hostMemory.ramOf(id)[0]!
    root.call('HvCallMapGpaPages', list(24, [id, 0, 3], [extent.hostPage]), 1)
    const { slat } = hypervisor.partitions.get(id)!
    expect(slat.inspect().ramPagesMapped).toBe(1)
    expect(root.on('HvCallFinalizePartition', id)).toBe(HvStatus.SUCCESS)
    expect(slat.inspect().ramPagesMapped).toBe(0)
    expect(root.closed.toSorted()).toEqual([`${id}.0`, `${id}.1`])
    expect(hypervisor.partitions.polled).toEqual([])
  })

  test('children are told in the order of their ids', () => {
    const root = new Root()
    const ids = [root.create(), root.create(), root.create()]
    const next = (previous: number, parent: bigint = HV_PARTITION_ID_SELF) => {
      const status = root.call(
        'HvCallGetNextChildPartition',
        GetNextChildPartitionInput.pack({ parentId: parent, previousChildId: BigInt(previous) }),
      )
      return status === HvStatus.SUCCESS ? root.u64() : -status
    }
    expect([0, ...ids].map((id) => next(id))).toEqual([...ids, 0])
    expect(next(0, BigInt(ids[0]!))).toBe(-HvStatus.ACCESS_DENIED)
    expect(next(0, 99n)).toBe(-HvStatus.INVALID_PARTITION_ID)
  })

  test('HvCallGetPartitionId answers the root its own', () => {
    const root = new Root()
    expect(root.call('HvCallGetPartitionId', new Uint8Array())).toBe(HvStatus.SUCCESS)
    expect(root.u64()).toBe(ROOT_PARTITION_ID)
  })
})

describe('properties', () => {
  const get = (root: Root, id: number, code: number) => {
    const status = root.call(
      'HvCallGetPartitionProperty',
      GetPartitionPropertyInput.pack({ partitionId: BigInt(id), propertyCode: code }),
    )
    return status === HvStatus.SUCCESS ? root.u64() : -status
  }

  test('privileges and synthetic features are fixed by Initialize', () => {
    const root = new Root()
    const id = root.create()
    expect(root.set(id, P.PRIVILEGE_FLAGS, 0x30_0000_0064n)).toBe(HvStatus.SUCCESS)
    expect(root.set(id, P.SYNTHETIC_FEATURES, 7n)).toBe(HvStatus.SUCCESS)
    root.deposit(id, PARTITION_PAGES)
    root.on('HvCallInitializePartition', id)
    expect(root.set(id, P.PRIVILEGE_FLAGS, 0n)).toBe(HvStatus.INVALID_PARTITION_STATE)
    expect(root.set(id, P.SYNTHETIC_FEATURES, 0n)).toBe(HvStatus.INVALID_PARTITION_STATE)
    expect(get(root, id, P.PRIVILEGE_FLAGS)).toBe(0x30_0000_0064)
    expect(get(root, id, P.SYNTHETIC_FEATURES)).toBe(7)
  })

  test('the privileges of a root partition are out of range for a child', () => {
    const root = new Root()
    const both = (1n << 32n) | (1n << 44n)
    expect(root.set(root.create(), P.PRIVILEGE_FLAGS, both)).toBe(
      HvStatus.PROPERTY_VALUE_OUT_OF_RANGE,
    )
  })

  test.each([
    [P.CPU_WEIGHT, 1n, 10_000n, [0n, 10_001n, 1n << 32n]],
    [P.CPU_CAP, 0n, 0x1_0000n, [0x1_0001n, 1n << 40n]],
    [P.CPU_RESERVE, 0n, 0x1_0000n, [0x1_0001n]],
    [P.SUSPEND, 0n, 1n, [2n]],
    [P.TIME_FREEZE, 0n, 1n, [2n]],
  ])('property 0x%s takes its range and nothing else', (code, low, high, wrong) => {
    const root = new Root()
    const id = root.create()
    for (const value of [high, low]) {
      expect(root.set(id, code, value)).toBe(HvStatus.SUCCESS)
      expect(get(root, id, code)).toBe(Number(value))
    }
    for (const value of wrong) {
      expect(root.set(id, code, value)).toBe(HvStatus.PROPERTY_VALUE_OUT_OF_RANGE)
    }
    expect(get(root, id, code)).toBe(Number(low))
  })

  test('a reserve is never above the cap, whichever is set last', () => {
    const root = new Root()
    const id = root.create()
    expect([get(root, id, P.CPU_RESERVE), get(root, id, P.CPU_CAP)]).toEqual([0, 0x1_0000])
    expect(root.set(id, P.CPU_RESERVE, 0x8000n)).toBe(HvStatus.SUCCESS)
    expect(root.set(id, P.CPU_CAP, 0x7fffn)).toBe(HvStatus.PROPERTY_VALUE_OUT_OF_RANGE)
    expect(root.set(id, P.CPU_CAP, 0x8000n)).toBe(HvStatus.SUCCESS)
    expect(root.set(id, P.CPU_RESERVE, 0x8001n)).toBe(HvStatus.PROPERTY_VALUE_OUT_OF_RANGE)
  })

  test('the scheduler hears of weight, cap and reserve before they hold, and may refuse', () => {
    const root = new Root()
    const id = root.create()
    const heard: unknown[] = []
    const status = root.back(id, 64, {
      queueSpace: () => {},
      admitsCpu(cpu) {
        heard.push(cpu)
        return cpu.reserve > 0x4000 ? HvStatus.NO_RESOURCES : HvStatus.SUCCESS
      },
    })
    expect(status).toBe(HvStatus.SUCCESS)
    expect(root.set(id, P.CPU_WEIGHT, 300n)).toBe(HvStatus.SUCCESS)
    expect(root.set(id, P.CPU_RESERVE, 0x4000n)).toBe(HvStatus.SUCCESS)
    expect(root.set(id, P.CPU_RESERVE, 0x4001n)).toBe(HvStatus.NO_RESOURCES)
    expect(get(root, id, P.CPU_RESERVE)).toBe(0x4000)
    expect(heard).toEqual([
      { weight: 300, cap: 0x1_0000, reserve: 0 },
      { weight: 300, cap: 0x1_0000, reserve: 0x4000 },
      { weight: 300, cap: 0x1_0000, reserve: 0x4001 },
    ])
  })

  test('what is not there is UNKNOWN_PROPERTY, and the guest’s OS id can only be read', () => {
    const root = new Root()
    const id = root.create()
    expect(get(root, id, 0x9999)).toBe(-HvStatus.UNKNOWN_PROPERTY)
    expect(root.set(id, 0x9999, 0n)).toBe(HvStatus.UNKNOWN_PROPERTY)
    expect(get(root, id, P.GUEST_OS_ID)).toBe(0)
    expect(root.set(id, P.GUEST_OS_ID, 1n)).toBe(HvStatus.ACCESS_DENIED)
    expect(get(root, NOBODY, P.SUSPEND)).toBe(-HvStatus.INVALID_PARTITION_ID)
  })

  test('time that is frozen stands, may be set, and goes on from there', () => {
    const root = new Root()
    root.clock.now100ns = 1000
    const id = root.active()
    root.createVp(id, 0)
    const { clock, hypervisor } = root
    const partition = hypervisor.partitions.get(id)!
    const vp = new VirtualProcessor(partition.handlesFor(0)!, {
      memory: partition.memory,
      wakeRoot: { ring() {} },
      clock,
    })
    const seen = () => {
      expect(vp.readMsr(0x4000_0020, vp.msr)).toBe(true)
      return vp.msr.high * 2 ** 32 + vp.msr.low
    }
    clock.now100ns = 1500
    expect([get(root, id, P.REFERENCE_TIME), seen()]).toEqual([500, 500])
    expect(root.set(id, P.REFERENCE_TIME, 9n)).toBe(HvStatus.PROPERTY_VALUE_OUT_OF_RANGE)
    root.set(id, P.TIME_FREEZE, 1n)
    clock.now100ns = 9000
    expect(get(root, id, P.REFERENCE_TIME)).toBe(500)
    // The counter is strictly increasing all the same.
    expect(seen()).toBe(501)
    expect(root.set(id, P.REFERENCE_TIME, 5000n)).toBe(HvStatus.SUCCESS)
    root.set(id, P.TIME_FREEZE, 0n)
    clock.now100ns = 9100
    expect([get(root, id, P.REFERENCE_TIME), seen()]).toEqual([5100, 5100])
  })
})

describe('memory pools', () => {
  test('what was deposited is withdrawn in full, and then NO_RESOURCES', () => {
    const root = new Root()
    const id = root.create()
    const { hostMemory } = root.hypervisor
    const before = hostMemory.freePages
    expect(root.deposit(id, 300)).toBe(HvStatus.SUCCESS)
    expect(root.call('HvCallWithdrawMemory', list(16, [id], []), 400)).toBe(HvStatus.NO_RESOURCES)
    expect(root.hypervisor.root.repsCompleted).toBe(300)
    const pages = Array.from({ length: 300 }, (_, i) => root.u64(i * 8))
    expect(new Set(pages).size).toBe(300)
    for (const page of pages) expect(hostMemory.giveBack(page)).toBe(HvStatus.SUCCESS)
    expect(hostMemory.freePages).toBe(before)
  })

  test('a page that the root does not have is INVALID_PARAMETER, and those before it are deposited', () => {
    const root = new Root()
    const id = root.create()
    const pages = root.hypervisor.hostMemory.take(2)!
    const status = root.call('HvCallDepositMemory', list(8, [id], [...pages, 0, pages[0]!]), 4)
    expect(status).toBe(HvStatus.INVALID_PARAMETER)
    expect(root.hypervisor.root.repsCompleted).toBe(2)
    expect(root.call('HvCallDepositMemory', list(8, [id], [pages[0]!]), 1)).toBe(
      HvStatus.INVALID_PARAMETER,
    )
    root.call('HvCallGetMemoryBalance', list(16, [id], []))
    expect([root.u64(), root.u64(8)]).toEqual([2, 0])
  })
})

describe('HvCallMapGpaPages and HvCallUnmapGpaPages', () => {
  const mapped = (root: Root, id: number, page: number) => {
    const entry = root.hypervisor.partitions.get(id)!.slat.lookUp(page)
    if (slatKind(entry) !== SlatKind.RAM) return 'nothing'
    return `${slatNumber(entry)} ${slatRights(entry)}`
  }
  const ram = (root: Root, id: number) => root.hypervisor.hostMemory.ramOf(id)[0]!.hostPage

  test('pages get the rights and the RAM that the call names', () => {
    const root = new Root()
    const id = root.active()
    const first = ram(root, id)
    const flags = HvMapFlags.READ | HvMapFlags.KERNEL_EXECUTE
    const block = list(24, [id, 0x100, flags], [first + 7, first])
    expect(root.call('HvCallMapGpaPages', block, 2)).toBe(HvStatus.SUCCESS)
    expect([mapped(root, id, 0x100), mapped(root, id, 0x101)]).toEqual(['7 5', '0 5'])
    expect(root.call('HvCallUnmapGpaPages', list(24, [id, 0x100], []), 1)).toBe(HvStatus.SUCCESS)
    expect([mapped(root, id, 0x100), mapped(root, id, 0x101)]).toEqual(['nothing', '0 5'])
  })

  test('a large page is 512 pages, aligned in both spaces', () => {
    const root = new Root()
    const id = root.create()
    root.deposit(id, PARTITION_PAGES)
    root.on('HvCallInitializePartition', id)
    root.back(id, 1024)
    const first = ram(root, id)
    const map = (base: number, page: number) =>
      root.call('HvCallMapGpaPages', list(24, [id, base, HvMapFlags.LARGE_PAGE | 3], [page]), 1)
    expect(map(512, first + 512)).toBe(HvStatus.SUCCESS)
    expect([mapped(root, id, 512), mapped(root, id, 1023)]).toEqual(['512 3', '1023 3'])
    expect(map(513, first)).toBe(HvStatus.INVALID_PARAMETER)
    expect(map(0, first + 1)).toBe(HvStatus.INVALID_PARAMETER)
    expect(map(0, first + 1024)).toBe(HvStatus.ACCESS_DENIED)
    expect(root.call('HvCallUnmapGpaPages', list(24, [id, 512, 2], []), 1)).toBe(HvStatus.SUCCESS)
    expect(mapped(root, id, 700)).toBe('nothing')
  })

  test('no page of another partition’s, of the root’s or of nobody’s can be mapped', () => {
    const root = new Root()
    const [id, other] = [root.active(), root.active()]
    const deposited = root.hypervisor.hostMemory.take(1)![0]!
    for (const page of [ram(root, other), deposited, 0, 2 ** 50]) {
      expect(root.call('HvCallMapGpaPages', list(24, [id, 0, 3], [page]), 1)).toBe(
        HvStatus.ACCESS_DENIED,
      )
    }
    expect(root.hypervisor.partitions.get(id)!.slat.inspect().ramPagesMapped).toBe(0)
  })

  test('before Initialize, past GPA space and with unknown flags it is refused', () => {
    const root = new Root()
    const early = root.create()
    expect(root.call('HvCallMapGpaPages', list(24, [early, 0, 3], [1]), 1)).toBe(
      HvStatus.INVALID_PARTITION_STATE,
    )
    const id = root.active()
    const map = (base: number, flags: number) =>
      root.call('HvCallMapGpaPages', list(24, [id, base, flags], [ram(root, id)]), 1)
    expect(map(2 ** 40, 3)).toBe(HvStatus.INVALID_PARAMETER)
    expect(map(0, 0x40)).toBe(HvStatus.INVALID_PARAMETER)
    expect(map(0, HvMapFlags.NO_ACCESS)).toBe(HvStatus.SUCCESS)
    expect(mapped(root, id, 0)).toBe('0 0')
  })
})

describe('virtual processors', () => {
  test('are created once, up to the most there may be, and deleted', () => {
    const root = new Root()
    const id = root.active()
    expect(root.createVp(id, 3)).toBe(HvStatus.SUCCESS)
    expect(root.createVp(id, 3)).toBe(HvStatus.OBJECT_IN_USE)
    expect(root.createVp(id, VPS_MAX)).toBe(HvStatus.INVALID_VP_INDEX)
    expect(root.createVp(NOBODY, 0)).toBe(HvStatus.INVALID_PARTITION_ID)
    const partition = root.hypervisor.partitions.get(id)!
    expect(partition.handlesFor(0)).toBeUndefined()
    expect(partition.handlesFor(3)).toMatchObject({ vpIndex: 3, vpCount: 4 })
    const gone = (vp: number) => root.call('HvCallDeleteVp', list(16, [id, vp], []))
    expect(gone(0)).toBe(HvStatus.INVALID_VP_INDEX)
    expect(gone(3)).toBe(HvStatus.SUCCESS)
    expect(root.closed).toEqual([`${id}.3`])
    expect(partition.vps).toEqual([])
  })

  test('HvCallGetVpIndexFromApicId knows those that are there', () => {
    const root = new Root()
    const id = root.active()
    root.createVp(id, 0)
    root.createVp(id, 2)
    const block = new Uint8Array(28)
    new DataView(block.buffer).setUint32(0, id, true)
    block.set(
      [0, 2, 1].flatMap((apicId) => [apicId, 0, 0, 0]),
      16,
    )
    expect(root.call('HvCallGetVpIndexFromApicId', block, 3)).toBe(HvStatus.INVALID_PARAMETER)
    expect(root.hypervisor.root.repsCompleted).toBe(2)
    expect([root.u32(), root.u32(4)]).toEqual([0, 2])
  })

  test('HvCallTranslateVirtualAddress says what is at a page', () => {
    const root = new Root()
    const id = root.active()
    root.createVp(id, 0)
    const host = root.hypervisor.hostMemory.ramOf(id)[0]!.hostPage
    root.call('HvCallMapGpaPages', list(24, [id, 5, HvMapFlags.READ], [host]), 1)
    const translate = (page: bigint, controlFlags: bigint) => {
      const status = root.call(
        'HvCallTranslateVirtualAddress',
        TranslateVirtualAddressInput.pack({
          partitionId: BigInt(id),
          vpIndex: 0,
          controlFlags,
          gvaPage: page,
        }),
      )
      return [status, root.u32(), root.u64(8)]
    }
    expect(translate(5n, 1n)).toEqual([0, HvTranslateResult.SUCCESS, 5])
    expect(translate(5n, 2n)).toEqual([0, HvTranslateResult.GPA_NO_WRITE_ACCESS, 5])
    expect(translate(6n, 1n)).toEqual([0, HvTranslateResult.GPA_UNMAPPED, 6])
  })
})

describe('HvCallGetVpRegisters and HvCallSetVpRegisters', () => {
  const header = (id: number, vp: number) => [BigInt(id), BigInt(vp)]
  const write = (root: Root, id: number, name: number, low: number, high = 0, vp = 0) => {
    const value = new Uint8Array(16)
    const view = new DataView(value.buffer)
    view.setUint32(0, low, true)
    view.setUint32(4, high, true)
    const block = list(16, header(id, vp), [0, 0, 0, 0])
    block.set(RegisterAssoc.pack({ name, value }), 16)
    return root.call('HvCallSetVpRegisters', block, 1)
  }
  const read = (root: Root, id: number, name: number, vp = 0) => {
    const status = root.call('HvCallGetVpRegisters', list(16, header(id, vp), [name]), 1)
    return status === HvStatus.SUCCESS ? root.u64() : -status
  }

  test('a VP is suspended when it is created, and may run once ExplicitSuspend is cleared', () => {
    const changes: number[] = []
    const root = new Root()
    const id = root.active({ queueSpace() {}, suspensionChanged: (vp) => void changes.push(vp) })
    root.createVp(id, 0)
    const partition = root.hypervisor.partitions.get(id)!
    const vp = new VirtualProcessor(partition.handlesFor(0)!, {
      memory: partition.memory,
      wakeRoot: { ring() {} },
      clock: root.clock,
    })
    root.hypervisor.grant(partition.id, 0, 1)
    expect([vp.isSuspended, vp.grantedLp()]).toEqual([true, -1])
    expect(read(root, id, HvRegister.EXPLICIT_SUSPEND)).toBe(1)
    expect(write(root, id, HvRegister.EXPLICIT_SUSPEND, 0)).toBe(HvStatus.SUCCESS)
    expect([vp.isSuspended, vp.grantedLp(), changes]).toEqual([false, 1, [0]])
    // The partition's property suspends each VP beside its own register.
    root.set(id, P.SUSPEND, 1n)
    expect([vp.isSuspended, read(root, id, HvRegister.EXPLICIT_SUSPEND)]).toEqual([true, 0])
    root.set(id, P.SUSPEND, 0n)
    expect(vp.isSuspended).toBe(false)
    expect(write(root, id, HvRegister.EXPLICIT_SUSPEND, 2)).toBe(HvStatus.INVALID_REGISTER_VALUE)
  })

  test('an intercept is completed with registers, and then InterceptSuspend is cleared', () => {
    const messages: Uint8Array[] = []
    const root = new Root()
    const id = root.active({
      queueSpace() {},
      intercept: (_, message) => void messages.push(message.slice()),
    })
    root.createVp(id, 0)
    write(root, id, HvRegister.EXPLICIT_SUSPEND, 0)
    const partition = root.hypervisor.partitions.get(id)!
    const vp = new VirtualProcessor(partition.handlesFor(0)!, {
      memory: partition.memory,
      wakeRoot: { ring() {} },
      clock: root.clock,
    })
    expect(vp.intercepts.beginPortIn(0x60, 1)).toBe('done')
    // Type 0: port; access 3: read and write.
    const wanted = list(24, [id, 3n, 0x60], [])
    expect(root.call('HvCallInstallIntercept', wanted)).toBe(HvStatus.SUCCESS)
    expect(write(root, id, HvRegister.RAX, 1)).toBe(HvStatus.INVALID_VP_STATE)
    expect(read(root, id, HvRegister.RAX)).toBe(-HvStatus.INVALID_VP_STATE)
    expect(vp.intercepts.beginPortIn(0x60, 1)).toBe('suspended')
    root.hypervisor.poll(10)
    expect(messages.length).toBe(1)
    expect(read(root, id, HvRegister.INTERCEPT_SUSPEND)).toBe(1)
    expect(write(root, id, HvRegister.RAX, 0x1_5a)).toBe(HvStatus.SUCCESS)
    expect(vp.intercepts.state).toBe('suspended')
    expect(write(root, id, HvRegister.INTERCEPT_SUSPEND, 1)).toBe(HvStatus.INVALID_REGISTER_VALUE)
    expect(write(root, id, HvRegister.INTERCEPT_SUSPEND, 0)).toBe(HvStatus.SUCCESS)
    expect([vp.intercepts.state, vp.intercepts.finish(), vp.intercepts.value.low]).toEqual([
      'answered',
      'done',
      0x5a,
    ])
    expect(write(root, id, HvRegister.INTERCEPT_SUSPEND, 0)).toBe(HvStatus.INVALID_VP_STATE)
  })

  test('unknown names, VPs and partitions have their statuses, and some can only be read', () => {
    const root = new Root()
    const id = root.active()
    root.createVp(id, 1)
    expect(read(root, id, 0xdead, 1)).toBe(-HvStatus.UNKNOWN_REGISTER_NAME)
    expect(write(root, id, 0xdead, 0, 0, 1)).toBe(HvStatus.UNKNOWN_REGISTER_NAME)
    expect(read(root, id, HvRegister.VP_INDEX, 0)).toBe(-HvStatus.INVALID_VP_INDEX)
    expect(read(root, id, HvRegister.VP_INDEX, 1)).toBe(1)
    expect(write(root, id, HvRegister.VP_INDEX, 0, 0, 1)).toBe(HvStatus.ACCESS_DENIED)
    expect(read(root, NOBODY, HvRegister.VP_INDEX, 1)).toBe(-HvStatus.INVALID_PARTITION_ID)
    expect(read(root, id, HvRegister.TIME_REF_COUNT, 1)).toBe(0)
    expect(read(root, id, HvRegister.GUEST_OS_ID, 1)).toBe(0)
  })
})

describe('the root’s calls about VPs of its own', () => {
  const self = HV_PARTITION_ID_SELF
  const ipi = (vector: number): Uint8Array =>
    SendClusterIpiInput.pack({ vector, targetVtl: 0, vpMask: 1n })

  test('a flush has nothing to flush, and an interrupt nobody to interrupt', () => {
    const root = new Root()
    const flush = FlushVirtualAddressInput.pack({ addressSpace: 0n, flags: 3n, vpMask: 0n })
    expect(root.call('HvCallFlushVirtualAddressSpace', flush)).toBe(HvStatus.SUCCESS)
    expect(root.call('HvCallSendSyntheticClusterIpi', ipi(0x30))).toBe(HvStatus.SUCCESS)
    expect(root.call('HvCallSendSyntheticClusterIpi', ipi(3))).toBe(HvStatus.INVALID_PARAMETER)
  })

  test('its VP 0 runs, it has no other, and a child’s are started by their siblings', () => {
    const root = new Root()
    const start = (partitionId: bigint, vpIndex: number): number =>
      root.call(
        'HvCallStartVirtualProcessor',
        StartVirtualProcessorInput.pack({
          partitionId,
          vpIndex,
          targetVtl: 0,
          vpContext: new Uint8Array(224),
        }),
      )
    expect(start(self, 0)).toBe(HvStatus.INVALID_VP_STATE)
    expect(start(self, 1)).toBe(HvStatus.INVALID_VP_INDEX)
    expect(start(BigInt(root.create()), 0)).toBe(HvStatus.ACCESS_DENIED)
  })
})
