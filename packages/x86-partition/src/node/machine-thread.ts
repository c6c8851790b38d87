// What a Linux guest runs on when it has a thread of its own.

import { randomBytes } from 'node:crypto'
import process from 'node:process'
import { DoorbellSet, MonotonicClock, ThreadEngine } from '@guestyard/engine'
import { createPortLogger } from '@guestyard/engine/node'
import { Doorbell } from '@guestyard/ring'

import type { MachinePartition, MachineWorkerData } from '../worker-protocol.ts'
import { LinuxGuest } from './linux-guest.ts'

/** VP's thread only; one for each. Boots at once. */
export function startMachineThread(
  data: MachineWorkerData,
  partition: MachinePartition,
): LinuxGuest {
  const { name, linux, memoryBytes, spinMicroseconds } = data
  const { partitionId, memory, handles, ide, saved } = partition
  const clock = new MonotonicClock({ originMs: partition.clockOriginMs })
  const bindings = { component: 'guest', vm: name, partitionId }
  return new LinuxGuest(
    { name, linux, memoryBytes, memory, handles, ide, ...(saved === null ? {} : { saved }) },
    {
      log: createPortLogger(data.logPort, data.logLevel, bindings),
      clock,
      wakeRoot: new Doorbell(partition.rootDoorbell),
      nowMs: () => performance.now(),
      randomBytes,
      sinceStartMs: () => performance.timeOrigin + performance.now() - data.startedMs,
      cpuMicroseconds,
      createEngine: (machine) => {
        const doorbells = new DoorbellSet()
        doorbells.add(new Doorbell(partition.doorbell))
        const options = { machine, doorbells, clock, spinMicroseconds } as const
        const engine = new ThreadEngine({ ...options, strategy: 'event-loop' })
        return {
          // A machine that throws is a bug of ours, or of the processor package: the rejection ends this worker, and its worker process says so.
          start: () => void engine.run(),
          wake: () => engine.wake(),
          inspect: () => ({ ...engine.stats }),
        }
      },
    },
  )
}

function cpuMicroseconds(): number {
  // Missing before Node 23.9.
  if (typeof process.threadCpuUsage !== 'function') return 0
  const { user, system } = process.threadCpuUsage()
  return user + system
}
