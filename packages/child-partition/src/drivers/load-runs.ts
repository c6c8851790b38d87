// A load run in this guest: channels opened with the rings asked for, one runner each, driven by an engine that waits as the spec
// says, closed again; and the sums.

import { PAGE_SIZE } from '@guestyard/hvdef'
import {
  checkLoadSpec,
  sumChannelResults,
  type ChannelLoadResult,
  type LoadResult,
  type LoadSpec,
} from '@guestyard/load-device/protocol'
import { LoadRunner } from '@guestyard/load-device/vsc'

import type { GuestEngine, GuestMeters, WaitedRun } from '../guest-platform.ts'
import { LatencyRecorder } from './latency.ts'
import type { LoadChannels } from './load-channels.ts'
import type { OpenedChannel } from './open-channel.ts'

/** A root that moves nothing for this long has lost the channel, to a fault that it need not tell the guest of. */
const SILENCE_MS = 10_000

type Outcome =
  | { readonly ok: true; readonly result: ChannelLoadResult }
  | { readonly ok: false; readonly reason: string }

/** Runs one load. VP's thread; one at a time. Rejects with the field for a bad spec, and with the channel's reason. */
export async function runLoad(
  channels: LoadChannels,
  engine: Pick<GuestEngine, 'until'>,
  meters: GuestMeters,
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
    return await drive(opened, engine, meters, spec)
  } finally {
    await channels.close(opened)
  }
}

async function drive(
  opened: readonly OpenedChannel[],
  engine: Pick<GuestEngine, 'until'>,
  meters: GuestMeters,
  spec: LoadSpec,
): Promise<LoadResult> {
  const latency = new LatencyRecorder()
  const outcomes: Outcome[] = []
  const silence = new Silence(opened)
  const run: WaitedRun = {
    isDone: () => outcomes.length >= opened.length || outcomes.some((outcome) => !outcome.ok),
    tick: () => {
      if (!silence.isTooLong(meters.nowNs() / 1e6)) return
      outcomes.push({ ok: false, reason: `nothing moved for ${SILENCE_MS / 1000} s` })
      run.changed()
    },
    changed: () => {},
  }
  const cpuBefore = meters.cpu()
  const heapBefore = meters.heapUsed()
  for (const { channel } of opened) {
    channel.run(
      new LoadRunner(channel, {
        spec,
        nowNs: () => meters.nowNs(),
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
  await engine.until(spec, run)
  const heapAfter = meters.heapUsed()
  const cpuAfter = meters.cpu()
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
    heapBytesPerPacket:
      heapBefore === null || heapAfter === null || sums.packets === 0
        ? null
        : (heapAfter - heapBefore) / sums.packets,
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
