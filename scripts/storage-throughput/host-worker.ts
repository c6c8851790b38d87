/** The host's thread of the storage figures: a controller with its disks, polled without a pause, or bare transfers of the same kind. */

import { readSync, openSync, writeSync } from 'node:fs'
import { getHeapStatistics } from 'node:v8'
import { workerData } from 'node:worker_threads'

import { GuestMemory } from '@guestyard/guestmem'
import { MemoryDisk, RawDisk } from '@guestyard/storage'
import { openBackingFile } from '@guestyard/storage/file'
import { DiskUnit, ScsiTarget } from '@guestyard/storage/scsi'
import { StorVsp } from '@guestyard/storage/vsp'
import type { ChannelProgram } from '@guestyard/vmbus'

import { hostChannel } from './bare-channel.ts'
import {
  ACCESSES,
  BARE,
  BARE_NS,
  DATA_GPA,
  HEAP,
  END_DISKS,
  PHASE,
  PING,
  PONG,
  Phase,
  Positions,
  SEEN,
} from './ends-protocol.ts'
import type { HostThreadData } from './ends-protocol.ts'

const POLLS = 256
const data = workerData as HostThreadData
const memory = GuestMemory.attach(data.memory)
const control = new Int32Array(data.control)
const times = new Float64Array(data.control)
const fd = openSync(data.rawPath, 'r+')

const target = new ScsiTarget()
const memoryDisk = new MemoryDisk({ sizeBytes: data.diskBytes })
const rawDisk = new RawDisk(openBackingFile(data.rawPath))
target.attach(0, 0, END_DISKS.indexOf('memory'), new DiskUnit(memoryDisk))
target.attach(0, 0, END_DISKS.indexOf('raw'), new DiskUnit(rawDisk))
const vsp = new StorVsp({ target })
const program = openProgram()

function openProgram(): ChannelProgram {
  const opened = vsp.open(hostChannel(memory, vsp.rings))
  if (opened === 'pending' || 'refused' in opened) throw new Error('the controller does not open')
  return opened
}

function serve(): void {
  const before = getHeapStatistics().total_allocated_bytes
  while (Atomics.load(control, PHASE) === Phase.SERVE) {
    for (let poll = 0; poll < 64; poll++) program.poll(POLLS)
  }
  times[HEAP >> 1] = times[HEAP >> 1]! + getHeapStatistics().total_allocated_bytes - before
}

function bare(): void {
  const access = ACCESSES[control[BARE]!]!
  const bytes = control[BARE + 1]!
  const transfers = control[BARE + 2]!
  const buffers = control[BARE + 3]!
  const positions = new Positions(access, data.diskBytes / bytes, control[BARE + 4]!)
  const { u8 } = memory
  const began = performance.now()
  for (let transfer = 0; transfer < transfers; transfer++) {
    const at = DATA_GPA + (transfer % buffers) * bytes
    const position = positions.next() * bytes
    if (access === 'sequential-write') writeSync(fd, u8, at, bytes, position)
    else readSync(fd, u8, at, bytes, position)
  }
  times[BARE_NS >> 1] = (performance.now() - began) * 1e6
}

function spin(): void {
  while (Atomics.load(control, PHASE) === Phase.SPIN) {
    Atomics.store(control, PONG, Atomics.load(control, PING))
  }
}

program.disarm()
for (;;) {
  const phase = Atomics.load(control, PHASE)
  if (phase === Phase.END) break
  // A bare stretch is told when it is over, everything else when it begins.
  if (phase === Phase.BARE) bare()
  Atomics.store(control, SEEN, phase)
  Atomics.notify(control, SEEN)
  if (phase === Phase.SERVE) serve()
  else if (phase === Phase.SPIN) spin()
  else Atomics.wait(control, PHASE, phase)
}
