// HOT (DeviceVectors.raise)
// Interrupt remapping of one partition: a device asks for a vector by an entry of this table, and by nothing else. An entry
// belongs to the device it was mapped for (HvCallMapDeviceInterrupt), says which vector which VPs take, and can be changed
// while interrupts are in flight (HvCallRetargetDeviceInterrupt). Whatever a device raises that is no entry of its own is
// refused, counted and kept for `inspect`. Root thread only.
//
//   MSI: address 0xfee00010 | index << 5, data 0    the remappable format: the entry's index, no vector and no destination
//   line: the same index as an I/O APIC pin         level-triggered: interrupt-line.ts

import { HvStatus } from '@guestyard/hvdef'

import { InterruptLine, type InterruptSink } from './interrupt-line.ts'

/** Entries of one partition: what 15 bits of an MSI address hold would be more than any machine has. */
const REMAP_ENTRIES_MAX = 2048
/** Entries of one device: what MSI-X allows. */
const REMAP_ENTRIES_OF_DEVICE_MAX = 2048
/** Refusals that are kept; older ones are only counted. */
const REFUSALS_KEPT = 16

const MSI_ADDRESS = 0xfee0_0000
const MSI_REMAPPABLE = 0x10
const MSI_INDEX_SHIFT = 5
const MSI_INDEX_MASK = 0x7fff
/** What else an address of ours may have: nothing. */
const MSI_OTHER_BITS: number = ~(MSI_REMAPPABLE | (MSI_INDEX_MASK << MSI_INDEX_SHIFT)) & 0xf_ffff

/** Where interrupts of an entry go. */
export interface InterruptTarget {
  /** 16 to 255. */
  readonly vector: number
  /** VPs, at least one. Without `multicast` the lowest of them takes it. */
  readonly vps: readonly number[]
  readonly multicast: boolean
}

/** How a device names an entry: HV_INTERRUPT_ENTRY of an MSI. */
export interface MsiEntry {
  readonly address: number
  readonly data: number
}

export type InterruptRefusalReason =
  /** Not the format of an entry: a vector and a destination of the device's own choice, say. */
  | 'not-remapped'
  /** No entry has this index. */
  | 'not-mapped'
  /** The entry is another device's. */
  | 'not-its-own'
  /** A line was raised as an MSI, or the other way round. */
  | 'wrong-trigger'
  /** The device was taken away. */
  | 'detached'

export interface InterruptRefusal {
  readonly deviceId: number
  readonly address: number
  readonly data: number
  readonly reason: InterruptRefusalReason
}

export type MapResult =
  | { readonly ok: true; readonly entry: MsiEntry }
  | { readonly ok: false; readonly status: HvStatus }

interface Entry {
  readonly index: number
  readonly owner: DeviceVectors
  /** Devices besides the owner that may assert the line. */
  readonly sharers: Set<DeviceVectors>
  /** Null: by edge. */
  readonly line: InterruptLine | null
  vector: number
  vps: readonly number[]
}

export class InterruptRemapping {
  readonly #sink: InterruptSink
  readonly #devices: Map<number, DeviceVectors> = new Map()
  /** By index. */
  readonly #entries: (Entry | null)[] = []
  readonly #free: number[] = []
  readonly #refusals: InterruptRefusal[] = []
  #lines = 0
  refused = 0

  constructor(sink: InterruptSink) {
    this.#sink = sink
  }

  hasVp(vp: number): boolean {
    return this.#sink.hasVp(vp)
  }

  /** A device of the partition: whoever has the answer can raise what is mapped for it. Undefined when the id is in use. */
  attach(deviceId: number): DeviceVectors | undefined {
    if (this.#devices.has(deviceId)) return undefined
    const device = new DeviceVectors(deviceId, this)
    this.#devices.set(deviceId, device)
    return device
  }

  /** The device is gone, with its entries: what it raises from here on is refused. */
  detach(device: DeviceVectors): void {
    if (this.#devices.get(device.deviceId) !== device) return
    this.#devices.delete(device.deviceId)
    for (const entry of this.#entries) {
      if (entry?.owner === device) this.#drop(entry)
      else if (entry?.sharers.delete(device)) entry.line?.set(device, false)
    }
  }

  /**
   * HvCallMapDeviceInterrupt: an entry for the device. INVALID_DEVICE_ID; INVALID_PARAMETER (vector, no VP, a line for several);
   * INVALID_VP_INDEX; NO_RESOURCES when the table is full.
   */
  map(deviceId: number, target: InterruptTarget, level: boolean): MapResult {
    const owner = this.#devices.get(deviceId)
    if (owner === undefined) return { ok: false, status: HvStatus.INVALID_DEVICE_ID }
    const status = this.#check(target, level)
    if (status !== HvStatus.SUCCESS) return { ok: false, status }
    const full = this.#free.length === 0 && this.#entries.length >= REMAP_ENTRIES_MAX
    if (full || owner.entries >= REMAP_ENTRIES_OF_DEVICE_MAX) {
      return { ok: false, status: HvStatus.NO_RESOURCES }
    }
    const index = this.#free.pop() ?? this.#entries.length
    const vps = chosen(target)
    const line = level ? new InterruptLine(this.#sink, vps[0]!, target.vector) : null
    const sharers = new Set<DeviceVectors>()
    this.#entries[index] = { index, owner, sharers, line, vector: target.vector, vps }
    owner.entries++
    if (level) this.#lines++
    return { ok: true, entry: entryOf(index) }
  }

  /** Lets another device assert a line as well. INVALID_DEVICE_ID; INVALID_PARAMETER when it is no line of `deviceId`. */
  share(deviceId: number, line: MsiEntry, other: DeviceVectors): HvStatus {
    const entry = this.#find(deviceId, line)
    if (typeof entry === 'number') return entry
    if (entry.line === null) return HvStatus.INVALID_PARAMETER
    entry.sharers.add(other)
    return HvStatus.SUCCESS
  }

  /** HvCallUnmapDeviceInterrupt. INVALID_DEVICE_ID; INVALID_PARAMETER when the entry is none of this device's. */
  unmap(deviceId: number, msi: MsiEntry): HvStatus {
    const entry = this.#find(deviceId, msi)
    if (typeof entry === 'number') return entry
    this.#drop(entry)
    return HvStatus.SUCCESS
  }

  /**
   * HvCallRetargetDeviceInterrupt: the next interrupt of the entry goes there. Those that a VP has been asked for already it
   * takes: a vector may be shared, so that none of them can be told from another's. Statuses as `map` and `unmap`.
   */
  retarget(deviceId: number, msi: MsiEntry, target: InterruptTarget): HvStatus {
    const entry = this.#find(deviceId, msi)
    if (typeof entry === 'number') return entry
    const status = this.#check(target, entry.line !== null)
    if (status !== HvStatus.SUCCESS) return status
    entry.vector = target.vector
    entry.vps = chosen(target)
    entry.line?.route(entry.vps[0]!, entry.vector)
    return HvStatus.SUCCESS
  }

  /** A VP has ended a level-triggered vector: lines of it are looked at anew. */
  ended(vp: number, vector: number): void {
    if (this.#lines === 0) return
    for (const entry of this.#entries) entry?.line?.ended(vp, vector)
  }

  /** The guest was reset: nothing is in flight any more. */
  reset(): void {
    for (const entry of this.#entries) entry?.line?.reset()
  }

  /** An MSI of `device`. Returns an HvStatus; ACCESS_DENIED for what it was not given. HOT. */
  raise(device: DeviceVectors, address: number, data: number): HvStatus {
    const entry = this.#entryFor(device, address, data)
    if (entry === null) return HvStatus.ACCESS_DENIED
    if (entry.line !== null) return this.#refuse(device, address, data, 'wrong-trigger')
    const { vps, vector } = entry
    let status: HvStatus = HvStatus.SUCCESS
    for (let index = 0; index < vps.length; index++) {
      const one = this.#sink.requestEdge(vps[index]!, vector)
      if (one !== HvStatus.SUCCESS) status = one
    }
    return status
  }

  /** A line of `device`, asserted or released. Status as `raise`. */
  setLine(device: DeviceVectors, msi: MsiEntry, asserted: boolean): HvStatus {
    const entry = this.#entryFor(device, msi.address, msi.data)
    if (entry === null) return HvStatus.ACCESS_DENIED
    if (entry.line === null) return this.#refuse(device, msi.address, msi.data, 'wrong-trigger')
    return entry.line.set(device, asserted)
  }

  inspect(): RemappingInspection {
    return {
      devices: [...this.#devices.values()].map(({ deviceId, entries, raised }) => ({
        deviceId,
        entries,
        raised,
      })),
      refused: this.refused,
      latestRefusals: [...this.#refusals],
    }
  }

  #entryFor(device: DeviceVectors, address: number, data: number): Entry | null {
    if (this.#devices.get(device.deviceId) !== device) {
      this.#refuse(device, address, data, 'detached')
      return null
    }
    const index = indexOf(address, data)
    if (index < 0) {
      this.#refuse(device, address, data, 'not-remapped')
      return null
    }
    const entry = index < this.#entries.length ? this.#entries[index]! : null
    if (entry === null || (entry.owner !== device && !entry.sharers.has(device))) {
      this.#refuse(device, address, data, entry === null ? 'not-mapped' : 'not-its-own')
      return null
    }
    return entry
  }

  #find(deviceId: number, { address, data }: MsiEntry): Entry | HvStatus {
    const owner = this.#devices.get(deviceId)
    if (owner === undefined) return HvStatus.INVALID_DEVICE_ID
    const entry = this.#entries[indexOf(address, data)] ?? null
    return entry === null || entry.owner !== owner ? HvStatus.INVALID_PARAMETER : entry
  }

  #check({ vector, vps, multicast }: InterruptTarget, level: boolean): HvStatus {
    if (!(vector >= 16 && vector <= 255) || !Number.isInteger(vector)) {
      return HvStatus.INVALID_PARAMETER
    }
    if (vps.length === 0 || (level && multicast && vps.length > 1)) {
      return HvStatus.INVALID_PARAMETER
    }
    const known = vps.every((vp) => this.#sink.hasVp(vp))
    return known ? HvStatus.SUCCESS : HvStatus.INVALID_VP_INDEX
  }

  #drop(entry: Entry): void {
    this.#entries[entry.index] = null
    this.#free.push(entry.index)
    entry.owner.entries--
    if (entry.line !== null) this.#lines--
  }

  #refuse(
    device: DeviceVectors,
    address: number,
    data: number,
    reason: InterruptRefusalReason,
  ): HvStatus {
    this.#refusals.push({ deviceId: device.deviceId, address, data, reason })
    if (this.#refusals.length > REFUSALS_KEPT) this.#refusals.shift()
    this.refused++
    return HvStatus.ACCESS_DENIED
  }
}

/** What a device may raise. It names entries; vectors and VPs are not its business. */
export class DeviceVectors {
  readonly deviceId: number
  /** Written by the table alone. */
  entries = 0
  raised = 0
  readonly #table: InterruptRemapping

  constructor(deviceId: number, table: InterruptRemapping) {
    this.deviceId = deviceId
    this.#table = table
  }

  /** Sends an MSI, as the entry it was given says. Returns an HvStatus; ACCESS_DENIED for any other. HOT. */
  raise(address: number, data: number): HvStatus {
    const status = this.#table.raise(this, address, data)
    if (status === HvStatus.SUCCESS) this.raised++
    return status
  }

  /** Asserts or releases a line. Status as `raise`. */
  setLine(entry: MsiEntry, asserted: boolean): HvStatus {
    return this.#table.setLine(this, entry, asserted)
  }
}

/** What `inspect` answers. */
export interface RemappingInspection {
  readonly devices: readonly {
    readonly deviceId: number
    readonly entries: number
    readonly raised: number
  }[]
  readonly refused: number
  /** The latest sixteen, the oldest first. */
  readonly latestRefusals: readonly InterruptRefusal[]
}

function chosen({ vps, multicast }: InterruptTarget): readonly number[] {
  return multicast ? [...new Set(vps)] : [Math.min(...vps)]
}

function entryOf(index: number): MsiEntry {
  return { address: MSI_ADDRESS + MSI_REMAPPABLE + (index << MSI_INDEX_SHIFT), data: 0 }
}

/** Index of an entry, or -1 for what is no address of this table. */
function indexOf(address: number, data: number): number {
  if (data !== 0 || address >>> 20 !== MSI_ADDRESS >>> 20) return -1
  if ((address & MSI_REMAPPABLE) === 0 || (address & MSI_OTHER_BITS) !== 0) return -1
  return (address >>> MSI_INDEX_SHIFT) & MSI_INDEX_MASK
}
