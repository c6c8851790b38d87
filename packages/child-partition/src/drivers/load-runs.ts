// A load run in this guest: channels opened with the rings asked for, one runner each, driven by an engine that waits as the spec
// says, closed again; and the sums.

import process from 'node:process'
import { PAGE_SIZE } from '@guestyard/hvdef'
import {
  checkLoadSpec,
  sumChannelResults,
  type ChannelLoadResult,
  type LoadResult,
  type LoadSpec,
} from '@guestyard/load-device/protocol'
import { LoadRunner } from '@guestyard/load-device/vsc'

import { LatencyRecorder } from './latency.ts'
import type { LoadChannels } from './load-channels.ts'
import type { OpenedChannel } from './open-channel.ts'

/** Waits for the runs to end in the way that the spec names; made by whoever owns the thread's engine. */
export interface LoadWaiter {
  /** Resolves when `run.isDone()` holds. Calls `run.tick()` about once a second meanwhile. */
  until(spec: LoadSpec, run: WaitedRun): Promise<void>
}

/** A run as its waiter sees it. */
export interface WaitedRun {
  isDone(): boolean
  tick(): void
  /** Called by the run, from within a poll or a tick, when `isDone` may have changed. */
  changed: () => void
}

/** A root that moves nothing for this long has lost the channel, to a fault that it need not tell the guest of. */
const SILENCE_MS = 10_000

type Outcome =
  | { readonly ok: true; readonly result: ChannelLoadResult }
  | { readonly ok: false; readonly reason: string }

/** Runs one load. VP's thread; one at a time. Rejects with the field for a bad spec, and with the channel's reason. */
export async function runLoad(
  channels: LoadChannels,
  waiter: LoadWaiter,
  spec: LoadSpec,
): Promise<LoadResult> {
  const problem = checkLoadSpec(spec)
  if (problem !== undefined) throw new RangeError(`${problem.field}: ${problem.problem}`)
  // The spec counts a ring's control page, the bus does not.
  const opened = await channels.open(
    spec.channels,
    spec.sendRingBytes - PAGE_SIZE,
    spec.receiveRingBytes - PAGE_SIZE,
  )
  try {
    return await drive(opened, waiter, spec)
  } finally {
    await channels.close(opened)
  }
}

async function drive(
  opened: readonly OpenedChannel[],
  waiter: LoadWaiter,
  spec: LoadSpec,
): Promise<LoadResult> {
  const latency = new LatencyRecorder()
  const outcomes: Outcome[] = []
  const silence = new Silence(opened)
  const run: WaitedRun = {
    isDone: () => outcomes.length >= opened.length || outcomes.some((outcome) => !outcome.ok),
    tick: () => {
      if (!silence.isTooLong(performance.now())) return
      outcomes.push({ ok: false, reason: `nothing moved for ${SILENCE_MS / 1000} s` })
      run.changed()
    },
    changed: () => {},
  }
  const cpuBefore = threadCpu()
  const heapBefore = process.memoryUsage().heapUsed
  for (const { channel } of opened) {
    channel.run(
      new LoadRunner(channel, {
        spec,
        nowNs,
        latency,
        onDone: (outcome) => {
          outcomes.push(outcome)
          run.changed()
        },
      }),
    )
  }
  for (const { closed } of opened) {
    void closed.then((reason) => {
      outcomes.push({ ok: false, reason: `the channel closed (${reason})` })
      run.changed()
    })
  }
  await waiter.until(spec, run)
  const heapAfter = process.memoryUsage().heapUsed
  const cpuAfter = threadCpu()
  const failed = outcomes.find((outcome) => !outcome.ok)
  if (failed !== undefined && !failed.ok) throw new Error(failed.reason)
  const results = outcomes.flatMap((outcome) => (outcome.ok ? [outcome.result] : []))
  const sums = sumChannelResults(results)
  return {
    spec,
    ...sums,
    latency: latency.encode(),
    guestCpu:
      cpuBefore === null || cpuAfter === null
        ? null
        : {
            userMicroseconds: cpuAfter.user - cpuBefore.user,
            systemMicroseconds: cpuAfter.system - cpuBefore.system,
          },
    heapBytesPerPacket: sums.packets > 0 ? (heapAfter - heapBefore) / sums.packets : null,
  }
}

/** Watches that packets move. */
class Silence {
  readonly #opened: readonly OpenedChannel[]
  #packets: number
  #sinceMs: number

  constructor(opened: readonly OpenedChannel[]) {
    this.#opened = opened
    this.#packets = -1
    this.#sinceMs = 0
  }

  isTooLong(nowMs: number): boolean {
    let packets = 0
    for (const { channel } of this.#opened) {
      packets += channel.incoming.packets + channel.outgoing.packets
    }
    if (packets !== this.#packets) {
      this.#packets = packets
      this.#sinceMs = nowMs
    }
    return nowMs - this.#sinceMs >= SILENCE_MS
  }
}

/** Nanoseconds on this thread's clock, with the fractions that a double holds. */
function nowNs(): number {
  return performance.now() * 1e6
}

function threadCpu(): { user: number; system: number } | null {
  return typeof process.threadCpuUsage === 'function' ? process.threadCpuUsage() : null
}
