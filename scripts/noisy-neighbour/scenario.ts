/** One victim and six noisy guests on two logical processors, under one policy; see the scenarios `noisy-POLICY.ts`. */

import { defineScenario } from '@guestyard/scenario'
import type { ScenarioDefinition, VmDefinition, VmHandle } from '@guestyard/scenario'

import type { PulseRequest, PulseResult } from '../guests/pulse.ts'
import { latenciesOf } from './latencies.ts'

const NEIGHBOURS = 6
const REQUEST: PulseRequest = { rounds: 300, restMs: 5, microseconds: 500 }

export interface NoisyOptions {
  readonly policy: 'root' | 'classic' | 'core'
  /** Most that the victim may wait for a processor beside the others: the 99th percentile less what it computes, milliseconds. */
  readonly waitMaxMs: number
}

export function noisyScenario({
  policy,
  waitMaxMs,
}: NoisyOptions): ScenarioDefinition<Record<string, VmDefinition>> {
  const names = Array.from({ length: NEIGHBOURS }, (_, index) => `noise${index}`)
  const burner = new URL('../guests/burner.ts', import.meta.url)
  return defineScenario({
    name: `noisy neighbours, ${policy}`,
    host: { logicalProcessors: 2, scheduler: policy, threadsPerCore: policy === 'core' ? 2 : 1 },
    vms: {
      victim: { memory: '2 MiB', guest: new URL('../guests/pulse.ts', import.meta.url) },
      ...Object.fromEntries(names.map((name) => [name, { memory: '2 MiB', guest: burner }])),
    },
    async run({ vms, expect, log }) {
      await vms.all.started()
      const vm = (name: string) => Reflect.get(vms, name) as VmHandle
      const all = (what: string) => Promise.all(names.map((name) => vm(name).call(what)))
      const pulse = async (beside: number) => {
        const found = latenciesOf((await vm('victim').call('pulse', REQUEST)) as PulseResult)
        const { p50Ms, p99Ms, maxMs, requestsPerSecond } = found
        const times = [p50Ms, p99Ms, maxMs].map((ms) => ms.toFixed(3)).join(' / ')
        log(`beside ${beside}: p50 / p99 / max ${times} ms, ${requestsPerSecond.toFixed(1)}/s`)
        return found
      }
      await all('rest')
      const alone = await pulse(0)
      await all('burn')
      const beside = await pulse(NEIGHBOURS)
      expect(beside.p99Ms - alone.p50Ms, 'waiting for a processor, ms').toBeLessThan(waitMaxMs)
    },
  })
}
