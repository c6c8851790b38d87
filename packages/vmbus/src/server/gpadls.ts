// The GPADLs of one guest: lists of its pages, described over one message or many, used by channels.
//
//            header, bodies           all bytes, ranges good          TEARDOWN, last use over
//   (none) ────────────▶ in-progress ────────────▶ accepted ──────▶ tearing-down ──────▶ (none)
//                          │ bad ranges, revoke       CREATED                     TORNDOWN
//                          └────▶ (none), CREATED with a failure
//
// The pages are mapped into the domain of the channel's device within the last message, so that "offered to the
// device" is no state one could see. A GPADL in use is torn down when its last use ends: it is unmapped, and then
// TORNDOWN promises that the host touches the pages no more. When the partition loses one of the pages, the GPADL is
// unmapped at once and can be used no more; the guest still has to tear it down.

import {
  GpadlBodyMessage,
  GpadlHeaderMessage,
  VMBUS_STATUS_FAILURE,
  VMBUS_STATUS_SUCCESS,
  assert,
} from '@guestyard/hvdef'
import { PageRangeStatus, PageRangeTable, SlatRight, parsePageRanges } from '@guestyard/guestmem'
import type { DmaDomain } from '@guestyard/guestmem'
import type { GpadlRange } from './device.ts'
import type { GuestError } from './events.ts'
import { GPADL_RANGE_BYTES } from './limits.ts'
import type { VmbusLimits } from './limits.ts'
import { gpadlCreated, gpadlTorndown } from './messages.ts'

const QWORD = 8
/** Range data of the smallest range: its header and one PFN. */
const RANGE_BYTES_MIN = 16
const U32_RANGE = 0x1_0000_0000

/** What a device may do with the pages of a GPADL. */
const ACCESS = SlatRight.READ | SlatRight.WRITE

export type GpadlState = 'in-progress' | 'accepted' | 'tearing-down'

/** One GPADL. Written by Gpadls alone. */
export interface Gpadl {
  readonly relid: number
  readonly id: number
  /** Of the channel's device. */
  readonly domain: DmaDomain
  readonly rangeCount: number
  /** Bytes of range data it was announced with. */
  readonly listBytes: number
  /** What counts against the guest's limit: the list, and what its ranges take once parsed. */
  readonly chargedBytes: number
  state: GpadlState
  /** Private copy of the range data so far; empty once accepted. */
  rangeData: Uint8Array
  filledBytes: number
  ranges: readonly GpadlRange[]
  /** Channels and mappings that may touch the pages. */
  uses: number
  /** The partition has lost a page of it. */
  lost: boolean
  /** Whoever has rings in it: told when that happens. */
  revoked: (() => void) | undefined
}

/** An accepted GPADL, as a record. Plain data. */
export interface SavedGpadl {
  readonly relid: number
  readonly id: number
  readonly rangeCount: number
  /** As in GPADL_HEADER, whole. */
  readonly rangeData: Uint8Array
}

export interface GpadlCounts {
  readonly inProgress: number
  readonly accepted: number
  readonly tearingDown: number
  /** What counts against `gpadlListBytes`. */
  readonly listBytes: number
  readonly uses: number
}

export class Gpadls {
  readonly #limits: VmbusLimits
  readonly #send: (message: Uint8Array) => void
  readonly #all = new Map<number, Gpadl>()
  // By id alone, since a body names no channel.
  readonly #inProgress = new Map<number, Gpadl>()
  #chargedBytes = 0

  constructor(limits: VmbusLimits, send: (message: Uint8Array) => void) {
    this.#limits = limits
    this.#send = send
  }

  /** GPADL_HEADER of a channel that the guest knows, whose device has `domain`. A refusal is answered here. */
  create(view: DataView, lengthBytes: number, domain: DmaDomain): GuestError | undefined {
    const { channelId, gpadlId, rangeBytes, rangeCount } = GpadlHeaderMessage.decode(view)
    const error = this.#refusal(channelId, gpadlId, rangeBytes, rangeCount)
    if (error !== undefined) {
      this.refuse(channelId, gpadlId)
      return error
    }
    const gpadl: Gpadl = {
      relid: channelId,
      id: gpadlId,
      domain,
      rangeCount,
      listBytes: rangeBytes,
      chargedBytes: chargeOf(rangeBytes, rangeCount),
      state: 'in-progress',
      rangeData: new Uint8Array(rangeBytes),
      filledBytes: 0,
      ranges: [],
      uses: 0,
      lost: false,
      revoked: undefined,
    }
    this.#all.set(keyOf(channelId, gpadlId), gpadl)
    this.#inProgress.set(gpadlId, gpadl)
    this.#chargedBytes += gpadl.chargedBytes
    return this.#append(gpadl, view, GpadlHeaderMessage.size, lengthBytes)
  }

  /** GPADL_BODY. One that belongs to no GPADL in progress has no answer. */
  extend(view: DataView, lengthBytes: number): GuestError | undefined {
    const { gpadlId } = GpadlBodyMessage.decode(view)
    const gpadl = this.#inProgress.get(gpadlId)
    if (gpadl === undefined) return 'bad-gpadl'
    return this.#append(gpadl, view, GpadlBodyMessage.size, lengthBytes)
  }

  /** GPADL_TEARDOWN. Answered now, or when the last use ends. */
  teardown(relid: number, gpadlId: number): GuestError | undefined {
    const gpadl = this.#all.get(keyOf(relid, gpadlId))
    if (gpadl === undefined || gpadl.state !== 'accepted') return 'bad-gpadl'
    gpadl.state = 'tearing-down'
    this.#finishTeardown(gpadl)
    return undefined
  }

  /** Begins a use of an accepted GPADL; undefined when the channel has none of that id. */
  use(relid: number, gpadlId: number): Gpadl | undefined {
    const gpadl = this.#all.get(keyOf(relid, gpadlId))
    if (gpadl === undefined || gpadl.state !== 'accepted' || gpadl.lost) return undefined
    gpadl.uses += 1
    return gpadl
  }

  /** Ends a use. */
  release(gpadl: Gpadl): void {
    assert(gpadl.uses > 0, 'A use that ends has begun.')
    gpadl.uses -= 1
    this.#finishTeardown(gpadl)
  }

  /** Answers a creation with a failure. */
  refuse(relid: number, gpadlId: number): void {
    this.#send(gpadlCreated(relid, gpadlId, VMBUS_STATUS_FAILURE))
  }

  /** The channel is revoked: what is in progress fails. What is accepted stays until the guest is done. */
  revokeChannel(relid: number): void {
    for (const gpadl of this.#all.values()) {
      if (gpadl.relid !== relid || gpadl.state !== 'in-progress') continue
      this.#forget(gpadl)
      this.refuse(relid, gpadl.id)
    }
  }

  /** The guest gave up the channel: its GPADLs go without a word. None of them is in use. */
  dropChannel(relid: number): void {
    for (const gpadl of this.#all.values()) if (gpadl.relid === relid) this.#drop(gpadl)
  }

  /** The connection is over: every GPADL goes without a word. None of them is in use. */
  dropAll(): void {
    for (const gpadl of this.#all.values()) this.#drop(gpadl)
  }

  /** Every GPADL; null while one is on its way, in or out, or has lost pages. */
  save(): readonly SavedGpadl[] | null {
    const all = [...this.#all.values()]
    if (all.some(({ state, lost }) => state !== 'accepted' || lost)) return null
    return all.map(({ relid, id, ranges }) => ({
      relid,
      id,
      rangeCount: ranges.length,
      rangeData: rangeDataOf(ranges),
    }))
  }

  inspect(): GpadlCounts {
    const all = [...this.#all.values()]
    const count = (state: GpadlState): number => all.filter((g) => g.state === state).length
    return {
      inProgress: count('in-progress'),
      accepted: count('accepted'),
      tearingDown: count('tearing-down'),
      listBytes: this.#chargedBytes,
      uses: all.reduce((sum, gpadl) => sum + gpadl.uses, 0),
    }
  }

  #refusal(
    relid: number,
    id: number,
    rangeBytes: number,
    rangeCount: number,
  ): GuestError | undefined {
    if (rangeBytes % QWORD !== 0) return 'bad-gpadl'
    if (rangeCount === 0 || rangeCount * RANGE_BYTES_MIN > rangeBytes) return 'bad-gpadl'
    if (this.#all.has(keyOf(relid, id)) || this.#inProgress.has(id)) return 'bad-gpadl'
    if (this.#all.size >= this.#limits.gpadls) return 'limit'
    const charge = chargeOf(rangeBytes, rangeCount)
    if (charge > this.#limits.gpadlListBytes - this.#chargedBytes) return 'limit'
    return undefined
  }

  #append(
    gpadl: Gpadl,
    view: DataView,
    fixedBytes: number,
    lengthBytes: number,
  ): GuestError | undefined {
    const offered = Math.floor((lengthBytes - fixedBytes) / QWORD) * QWORD
    const taken = Math.min(offered, gpadl.listBytes - gpadl.filledBytes)
    const from = new Uint8Array(view.buffer, view.byteOffset + fixedBytes, taken)
    gpadl.rangeData.set(from, gpadl.filledBytes)
    gpadl.filledBytes += taken
    if (gpadl.filledBytes < gpadl.listBytes) return undefined
    return this.#accept(gpadl)
  }

  #accept(gpadl: Gpadl): GuestError | undefined {
    const ranges = mapRanges(gpadl)
    if (ranges === undefined) {
      this.#forget(gpadl)
      this.refuse(gpadl.relid, gpadl.id)
      return 'bad-gpadl'
    }
    this.#inProgress.delete(gpadl.id)
    gpadl.state = 'accepted'
    gpadl.ranges = ranges
    gpadl.rangeData = new Uint8Array(0)
    this.#send(gpadlCreated(gpadl.relid, gpadl.id, VMBUS_STATUS_SUCCESS))
    return undefined
  }

  #finishTeardown(gpadl: Gpadl): void {
    if (gpadl.state !== 'tearing-down' || gpadl.uses > 0) return
    this.#forget(gpadl)
    this.#send(gpadlTorndown(gpadl.id))
  }

  #drop(gpadl: Gpadl): void {
    assert(gpadl.uses === 0, 'A GPADL that is dropped is not in use.')
    this.#forget(gpadl)
  }

  #forget(gpadl: Gpadl): void {
    this.#all.delete(keyOf(gpadl.relid, gpadl.id))
    if (gpadl.state === 'in-progress') this.#inProgress.delete(gpadl.id)
    this.#chargedBytes -= gpadl.chargedBytes
    unmapRanges(gpadl.domain, gpadl.ranges)
  }
}

/** As the guest described them. */
function rangeDataOf(ranges: readonly GpadlRange[]): Uint8Array {
  const qwords = ranges.flatMap(({ offsetBytes, lengthBytes, pages }) => [
    (BigInt(offsetBytes) << 32n) | BigInt(lengthBytes),
    ...Array.from(pages.gpaPages, (page) => BigInt(page)),
  ])
  const data = new DataView(new ArrayBuffer(qwords.length * QWORD))
  for (const [index, qword] of qwords.entries()) data.setBigUint64(index * QWORD, qword, true)
  return new Uint8Array(data.buffer)
}

function chargeOf(rangeBytes: number, rangeCount: number): number {
  return rangeBytes + rangeCount * GPADL_RANGE_BYTES
}

function keyOf(relid: number, gpadlId: number): number {
  return relid * U32_RANGE + gpadlId
}

// Undefined when a range is malformed, or one of its pages is nothing that a device may reach.
function mapRanges(gpadl: Gpadl): readonly GpadlRange[] | undefined {
  const bytes = gpadl.rangeData
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  const table = new PageRangeTable({
    maxRanges: gpadl.rangeCount,
    maxPages: bytes.length / QWORD,
  })
  const status = parsePageRanges(view, 0, bytes.length, gpadl.rangeCount, table)
  if (status !== PageRangeStatus.OK) return undefined
  const ranges: GpadlRange[] = []
  const revoked = (): void => losePages(gpadl)
  for (let index = 0; index < table.rangeCount; index += 1) {
    const first = table.firstPages[index] ?? 0
    const next = index + 1 < table.rangeCount ? table.firstPages[index + 1] : undefined
    const end = next ?? table.pageCount
    const pages = gpadl.domain.map(table.pfns.subarray(first, end), ACCESS, revoked)
    if (pages === undefined) {
      unmapRanges(gpadl.domain, ranges)
      return undefined
    }
    ranges.push({
      offsetBytes: table.byteOffsets[index] ?? 0,
      lengthBytes: table.byteCounts[index] ?? 0,
      pages,
    })
  }
  return ranges
}

function unmapRanges(domain: DmaDomain, ranges: readonly GpadlRange[]): void {
  for (const { pages } of ranges) domain.unmap(pages)
}

function losePages(gpadl: Gpadl): void {
  if (gpadl.lost) return
  gpadl.lost = true
  unmapRanges(gpadl.domain, gpadl.ranges)
  gpadl.revoked?.()
}
