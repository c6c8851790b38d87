// What the SCSI target costs on top of its disk, on one thread: `npx node bench/scsi.bench.ts`. One line a command, median of
// interleaved rounds; and the bytes of heap that a command leaves behind.

import { GuestMemory } from '@guestyard/guestmem'

import { DiskStatus, MemoryDisk } from '../src/index.ts'
import type { Disk, DiskRequest } from '../src/index.ts'
import { DataDirection, DiskUnit, ScsiRequest, ScsiTarget } from '../src/scsi/index.ts'

const ROUNDS = 15
const COMMANDS = 200_000
const BLOCK_BYTES = 4096

/** A disk that does nothing: what is left is the target's time. */
class NoDisk implements Disk {
  readonly geometry: Disk['geometry']
  readonly closed = false
  readonly closeStatus: DiskStatus = DiskStatus.OK

  constructor(geometry: Disk['geometry']) {
    this.geometry = geometry
  }

  submit(request: DiskRequest): void {
    request.status = DiskStatus.OK
  }

  poll(): number {
    return 0
  }

  nextDeadlineMs(): number {
    return Infinity
  }

  abort(): void {}

  close(): void {}
}

const ram = GuestMemory.create({ sizeBytes: 1 << 20 })
const memory = new MemoryDisk({ sizeBytes: 64 << 20 })
const target = new ScsiTarget()
target.attach(0, 0, 0, new DiskUnit(new NoDisk(memory.geometry)))
target.attach(0, 0, 1, new DiskUnit(memory))
const request = new ScsiRequest(2)

function run(lun: number, opcode: number): void {
  const isRead = opcode === 0x28 || opcode === 0x88
  const isLong = opcode >= 0x88
  request.lun = lun
  request.cdb.fill(0)
  request.cdb[0] = opcode
  request.cdb[isLong ? 13 : 8] = BLOCK_BYTES / 512
  request.cdbLength = isLong ? 16 : 10
  request.direction = isRead ? DataDirection.FROM_DEVICE : DataDirection.TO_DEVICE
  const at = isLong ? 8 : 4
  for (let count = 0; count < COMMANDS; count++) {
    request.cdb[at] = count & 0x7f
    request.data.beginGuest(ram)
    request.data.add((count & 0x7f) * BLOCK_BYTES, BLOCK_BYTES)
    target.execute(request)
    if (request.scsiStatus !== 0) throw new Error('a command failed')
  }
}

const direct = request.io

/** The same without a target: the disk's own time, and that of the loop. */
function runDisk(): void {
  for (let count = 0; count < COMMANDS; count++) {
    direct.operation = 0
    direct.block = count & 0x7f
    direct.blockCount = BLOCK_BYTES / 512
    direct.data.beginGuest(ram)
    direct.data.add((count & 0x7f) * BLOCK_BYTES, BLOCK_BYTES)
    memory.submit(direct)
  }
}

const cases: [string, () => void][] = [
  ['READ (10) of a disk that does nothing', () => run(0, 0x28)],
  ['WRITE (10)', () => run(0, 0x2a)],
  ['READ (16)', () => run(0, 0x88)],
  ['WRITE (16)', () => run(0, 0x8a)],
  ['READ (10) of 4 KiB from a disk in memory', () => run(1, 0x28)],
  ['the same read, of the disk without a target', runDisk],
]
const times = cases.map((): number[] => [])
for (let round = 0; round < ROUNDS; round++) {
  for (const [index, [, body]] of cases.entries()) {
    const start = performance.now()
    body()
    times[index]!.push(((performance.now() - start) * 1e6) / COMMANDS)
  }
}
for (const [index, [what]] of cases.entries()) {
  const median = times[index]!.toSorted((a, b) => a - b)[ROUNDS >> 1]!
  console.log(`${what.padEnd(48)} ${median.toFixed(1).padStart(8)} ns`)
}
const before = process.memoryUsage().heapUsed
for (let round = 0; round < 5; round++) run(1, 0x28)
const left = (process.memoryUsage().heapUsed - before) / (5 * COMMANDS)
console.log(`${'bytes of heap a command leaves behind'.padEnd(48)} ${left.toFixed(2).padStart(8)}`)
