// Node's side of the root partition: it makes the doorbells, runs the engine and serves the control port.

import process from 'node:process'
import { DoorbellSet, MonotonicClock, ThreadEngine } from '@guestyard/engine'
import { createPortLogger } from '@guestyard/engine/node'
import { createCaptureFile } from '@guestyard/network/file'
import { Doorbell } from '@guestyard/ring'

import { BusLog } from './bus-log.ts'
import { inspectCrash } from './crash-inspection.ts'
import { KeptMemory } from './disks/kept-memory.ts'
import { openDisk } from './disks/open-disk.ts'
import { openUplink } from './networks/open-uplink.ts'
import { RootPartition } from './root-partition.ts'
import type { VpDoorbells } from './root-partition-options.ts'
import { servePort } from './services.ts'
import { Watchdog, type Watched } from './watchdog.ts'
import type { RootWorkerData } from './worker-protocol.ts'

/** A VP's doorbells with the root's end of them. */
interface OpenDoorbells extends VpDoorbells {
  readonly root: Doorbell
}

/** Runs the root partition on this thread, for as long as the thread lives. */
export function serveRoot(data: RootWorkerData): void {
  const log = createPortLogger(data.logPort, data.logLevel, { component: 'root-partition' })
  const clockOriginMs = MonotonicClock.originOfThisMoment()
  const clock = new MonotonicClock({ originMs: clockOriginMs })
  const doorbells = new DoorbellSet()
  const busLog = new BusLog(log, clock)
  const kept = new KeptMemory()

  const ends = new FirstEnds()

  const root = new RootPartition({
    clock,
    clockOriginMs,
    unixMs: () => performance.timeOrigin + performance.now(),
    logicalProcessors: data.logicalProcessors,
    scheduler: data.scheduler,
    onOverdue: (overdue) => log.warn(overdue, 'a VP does not stop when told to'),
    ...(data.hostMemoryBytes === undefined ? {} : { hostMemoryBytes: data.hostMemoryBytes }),
    openDoorbells(): OpenDoorbells {
      const vp = Doorbell.create()
      const own = Doorbell.create()
      doorbells.add(own)
      return { vp, root: own, vpBuffer: shared(vp), rootBuffer: shared(own) }
    },
    closeDoorbells(pair) {
      doorbells.remove((pair as OpenDoorbells).root)
    },
    onBusEvent: (partitionId, event) => busLog.write(partitionId, event),
    onGuestCrash: (partitionId, report) => {
      if (!ends.isFirst(partitionId, 'crash')) return
      log.error({ partitionId, ...inspectCrash(report) }, 'a guest has crashed')
    },
    onResetRequest: (partitionId, vp) => {
      if (!ends.isFirst(partitionId, 'reset')) return
      log.warn({ partitionId, vp }, 'a guest asks to be reset')
    },
    openDisk: (spec, wake) => openDisk(spec, { flush: 'async', wake, clock, kept }),
    onOutsideWork: () => engine.wake(),
    openUplink,
    openCapture: createCaptureFile,
    switchSeed: globalThis.crypto.getRandomValues(new Uint32Array(1))[0] ?? 0,
    onDiskLost: (image) => log.error({ image }, 'an image was closed with writes that may be lost'),
    onDeleted: (partitionId) => {
      busLog.forget(partitionId)
      ends.forget(partitionId)
      watchdog.forget(partitionId)
    },
  })

  const watchdog = new Watchdog(watchedBy(root, clock), {
    nowMs: () => performance.now(),
    after(ms, look) {
      const timer = setTimeout(look, ms)
      return () => clearTimeout(timer)
    },
  })

  const engine = new ThreadEngine({
    machine: root,
    doorbells,
    clock,
    strategy: data.strategy,
    spinMicroseconds: data.spinMicroseconds,
  })

  servePort(data.controlPort, root, {
    engine: () => ({ ...engine.stats }),
    cpuMicroseconds,
    watch: (partitionId, limitMs) => watchdog.watch(partitionId, limitMs),
    changed: () => engine.wake(),
    forgetMemory: (keys) => kept.forget(keys),
  })
  // A machine that throws is a bug of ours: the rejection ends this worker, and management says so for every VM.
  void engine.run()
}

/** One line a guest of each kind: `inspect` counts the rest. */
class FirstEnds {
  readonly #told: Set<string> = new Set()

  isFirst(partitionId: number, kind: 'crash' | 'reset'): boolean {
    const end = `${partitionId} ${kind}`
    return !this.#told.has(end) && this.#told.add(end).size > 0
  }

  forget(partitionId: number): void {
    this.#told.delete(`${partitionId} crash`)
    this.#told.delete(`${partitionId} reset`)
  }
}

/** The engine reads its clock when it polls, and may be asleep: whoever is asked how long something has lasted reads it anew. */
function watchedBy(root: RootPartition, clock: MonotonicClock): Watched {
  return {
    ping: (partitionId) => root.ping(partitionId),
    answered(partitionId, limitMs) {
      clock.update()
      return root.answered(partitionId, limitMs)
    },
  }
}

function shared(doorbell: Doorbell): SharedArrayBuffer {
  return doorbell.words.buffer as SharedArrayBuffer
}

/** CPU time of this thread. 0 where the runtime can't tell (before Node 23.9). */
function cpuMicroseconds(): number {
  if (typeof process.threadCpuUsage !== 'function') return 0
  const { user, system } = process.threadCpuUsage()
  return user + system
}
