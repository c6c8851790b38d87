// A disk in memory behind a SCSI target, a controller on a bus, a guest's driver: a block is written and read, all in this thread.
import { MemoryDisk } from '@guestyard/storage'
import { DiskUnit, ScsiTarget } from '@guestyard/storage/scsi'
import { openStorage } from '@guestyard/storage/testing'
import { StorRequest, readBlocks, writeBlocks } from '@guestyard/storage/vsc'

// The host's side: path 0, target 0, LUN 0 is a disk of 1 MiB.
const disk = new MemoryDisk({ sizeBytes: 1024 * 1024 })
const target = new ScsiTarget()
target.attach(0, 0, 0, new DiskUnit(disk))
const { units, loopback, allocate, run } = openStorage(target)

// The guest's side: its driver has found the disk. Data is wherever the guest wants it in its RAM.
const gpa = allocate(4096)
const { u8 } = loopback.memory
const request = new StorRequest(1, () => console.log(`moved ${request.transferredBytes} bytes`))
request.setData(gpa, 512)
u8.set(new TextEncoder().encode('hello, disk'), gpa)
writeBlocks(request, 7, 1, true)
run(request)

u8.fill(0, gpa, gpa + 512)
readBlocks(request, 7, 1)
run(request)
console.log(
  `${units[0]?.blockCount} blocks; block 7: ${String.fromCodePoint(...u8.subarray(gpa, gpa + 11))}`,
)
// prints: 2048 blocks; block 7: hello, disk
