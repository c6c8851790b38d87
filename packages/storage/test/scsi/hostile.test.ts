// Any bytes for a CDB, any length, direction and pieces: the target never throws, touches nothing beside the pieces, and ends every
// command with an answer that makes sense.

import { DiskStatus, MemoryDisk } from '@guestyard/storage'
import { DiskUnit, DvdUnit, ScsiOutcome, ScsiRequest, ScsiTarget } from '@guestyard/storage/scsi'
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { HeldDisk } from './held-disk.ts'

const COMMANDS_PER_RUN = 300
const ARENA_BYTES = 8192
const GUARD = 0xa5
/** Every opcode that a unit knows, and some that none does. */
const OPCODES = [
  0x00, 0x03, 0x08, 0x0a, 0x12, 0x15, 0x16, 0x17, 0x1a, 0x1b, 0x1e, 0x25, 0x28, 0x2a, 0x2b, 0x2f,
  0x35, 0x41, 0x42, 0x43, 0x46, 0x4a, 0x4d, 0x51, 0x55, 0x56, 0x57, 0x5a, 0x5e, 0x5f, 0x7f, 0x85,
  0x88, 0x8a, 0x8f, 0x91, 0x93, 0x9e, 0xa0, 0xa1, 0xa3, 0xa8, 0xaa, 0xaf, 0xbb, 0xbd, 0xc1, 0xff,
]

/** How a disk may end what it kept. */
const STATUSES = Object.values(DiskStatus).filter((status) => status !== DiskStatus.PENDING)

/** Marsaglia's xorshift32: a command costs no more than its bytes. */
class Random {
  #state: number

  constructor(seed: number) {
    this.#state = seed | 1
  }

  below(limit: number): number {
    let x = this.#state
    x ^= x << 13
    x ^= x >>> 17
    x ^= x << 5
    this.#state = x
    return (x >>> 0) % limit
  }
}

function fill(request: ScsiRequest, random: Random, arena: Uint8Array): void {
  request.path = random.below(2)
  request.target = 0
  request.lun = random.below(4)
  const isWild = random.below(4) === 0
  for (let at = 0; at < 16; at++) {
    // Mostly small numbers: a command gets somewhere.
    request.cdb[at] = isWild || random.below(4) === 0 ? random.below(256) : 0
  }
  if (!isWild) request.cdb[0] = OPCODES[random.below(OPCODES.length)]!
  if (random.below(2) === 0) request.cdb[8] = random.below(24)
  request.cdbLength = isWild ? random.below(17) : 16
  request.direction = random.below(3) as 0 | 1 | 2
  request.data.beginBytes(arena)
  let at = random.below(64)
  for (let pieces = random.below(5); pieces > 0; pieces--) {
    const length = 1 + random.below(1500)
    if (at + length > ARENA_BYTES) break
    request.data.add(at, length)
    at += length + random.below(64)
  }
}

/** Bytes of the arena that belong to no piece. */
function outside(request: ScsiRequest): Uint8Array {
  const mask = new Uint8Array(ARENA_BYTES).fill(1)
  for (let piece = 0; piece < request.data.count; piece++) {
    const at = request.data.addresses[piece]!
    mask.fill(0, at, at + request.data.lengths[piece]!)
  }
  return mask
}

function check(request: ScsiRequest, room: number): void {
  const { outcome, scsiStatus, sense, senseLength, transferredBytes, askedBytes } = request
  if (transferredBytes > room) throw new Error('more than there is room for')
  if (outcome === ScsiOutcome.NO_LOGICAL_UNIT) return
  if (transferredBytes > askedBytes) throw new Error('more than was asked for')
  const isCheck = scsiStatus === 2
  if (isCheck !== (senseLength === 18)) throw new Error('sense data goes with CHECK CONDITION')
  if (isCheck && (sense[0] !== 0x70 || sense[7] !== 10)) throw new Error('sense data of no format')
  if (scsiStatus !== 0 && transferredBytes !== 0) throw new Error('a failure that moved something')
  if (isCheck && outcome !== ScsiOutcome.DONE && outcome !== ScsiOutcome.INVALID_REQUEST) {
    throw new Error('sense data of a command without an answer')
  }
}

test('tens of thousands of commands of any shape end in order', () => {
  const disk = new HeldDisk(1 << 20)
  const dvd = new MemoryDisk({ sizeBytes: 1 << 20, readOnly: true })
  const target = new ScsiTarget()
  target.attach(0, 0, 0, new DiskUnit(disk))
  target.attach(0, 0, 1, new DvdUnit(dvd))
  target.attach(0, 0, 2, new DiskUnit(new HeldDisk(1 << 16, { readOnly: true, canUnmap: false })))
  const other = new ScsiTarget({ initiator: 1 })
  const shared = target.unitAt(0, 0, 0)!
  other.attach(0, 0, 0, shared)
  const arena = new Uint8Array(ARENA_BYTES)
  const request = new ScsiRequest(8)
  let good = 0
  const seen = new Set<number>()
  fc.assert(
    fc.property(fc.integer({ min: 1 }), fc.boolean(), (seed, holds) => {
      const random = new Random(seed)
      disk.holds = holds
      for (let commands = 0; commands < COMMANDS_PER_RUN; commands++) {
        arena.fill(GUARD)
        fill(request, random, arena)
        const mask = commands % 16 === 0 ? outside(request) : null
        const room = request.data.totalBytes
        if (random.below(8) === 0) other.execute(request)
        else target.execute(request)
        for (let polls = 0; request.outcome === ScsiOutcome.PENDING; polls++) {
          if (polls > 1000) throw new Error('the command does not end')
          if (random.below(16) === 0) target.abort(request)
          disk.release(0, STATUSES[random.below(STATUSES.length)])
          target.poll(8)
          other.poll(8)
        }
        check(request, room)
        if (request.outcome === ScsiOutcome.DONE && request.scsiStatus === 0) good += 1
        if (request.senseLength > 0) seen.add((request.sense[2]! << 8) | request.sense[12]!)
        if (mask !== null && arena.some((byte, at) => mask[at] === 1 && byte !== GUARD)) {
          throw new Error('bytes beside the pieces were written')
        }
      }
    }),
    { numRuns: 100 },
  )
  expect(shared.inFlight).toBe(0)
  // The commands got somewhere: many were good, and failed in many ways.
  expect(good).toBeGreaterThan(1000)
  expect(seen.size).toBeGreaterThan(7)
})
