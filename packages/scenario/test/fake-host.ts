// A host without threads: machines that answer at once, and load results computed from the spec.

import { build, encodeIntoCompressedBase64 } from 'hdr-histogram-js'

import type { LoadResult, LoadSpec } from '@guestyard/load-device/protocol'
import type { VmExit } from '@guestyard/management'

import type { ScenarioHost, ScenarioVm, StartHost } from '../src/vm-handle.ts'

export interface FakeVmBehaviour {
  /** Makes `start` fail with this text. */
  readonly startFails?: string
  /** How long a load takes: never ends unless this is false. */
  readonly loadHangs?: boolean
}

export interface FakeWorld {
  readonly startHost: StartHost
  readonly events: string[]
  readonly specs: LoadSpec[]
  /** Ends a machine as its own program would. */
  end(name: string, exit: VmExit): void
}

export function fakeWorld(behaviour: Record<string, FakeVmBehaviour> = {}): FakeWorld {
  const events: string[] = []
  const specs: LoadSpec[] = []
  const endings = new Map<string, (exit: VmExit) => void>()
  const startHost: StartHost = async (options) => {
    events.push(`host up (${options.logicalProcessors ?? 'default'})`)
    const vms: ScenarioVm[] = []
    const host: ScenarioHost = {
      createVm(vm) {
        const made = fakeVm(vm.name, behaviour[vm.name] ?? {}, events, specs, endings)
        vms.push(made)
        return made
      },
      inspect: () => Promise.reject(new Error('a fake host has nothing to inspect')),
      async close() {
        await Promise.all(vms.map((vm) => vm.stop()))
        events.push('host closed')
      },
    }
    return host
  }
  return { startHost, events, specs, end: (name, exit) => endings.get(name)?.(exit) }
}

function fakeVm(
  name: string,
  behaviour: FakeVmBehaviour,
  events: string[],
  specs: LoadSpec[],
  endings: Map<string, (exit: VmExit) => void>,
): ScenarioVm {
  let state: ScenarioVm['state'] = 'off'
  let lastExit: VmExit | null = null
  const { promise: exit, resolve } = Promise.withResolvers<VmExit>()
  const end = (how: VmExit): void => {
    lastExit ??= how
    state = how.reason === 'stopped' || how.reason === 'exited' ? 'off' : 'failed'
    resolve(lastExit)
  }
  endings.set(name, end)
  return {
    name,
    get state() {
      return state
    },
    get lastExit() {
      return lastExit
    },
    exit,
    async start() {
      events.push(`${name} starts`)
      if (behaviour.startFails !== undefined) {
        end({ reason: 'start-failed', detail: behaviour.startFails })
        throw new Error(`VM "${name}" did not start: ${behaviour.startFails}`)
      }
      state = 'running'
      return { vmbusVersion: 0x50003, offers: 3, vendor: 'fake', bootMs: 1, firstChannelMs: 2 }
    },
    async stop() {
      if (state !== 'running') return
      events.push(`${name} stops`)
      end({ reason: 'stopped', detail: '' })
    },
    async turnOff() {
      end({ reason: 'turned-off', detail: '' })
    },
    programEnded: () => Promise.resolve(),
    async runLoad(spec) {
      specs.push(spec)
      if (behaviour.loadHangs === true) return new Promise<never>(() => undefined)
      return fakeResult(spec, specs.length)
    },
    exec: () => Promise.reject(new Error('a fake guest runs no scripts')),
    call: (functionName, data) => Promise.resolve([functionName, data]),
    takeReports: () => Promise.resolve([]),
    inspectGuest: () => Promise.reject(new Error('a fake guest has nothing to inspect')),
    pressKey: () => Promise.resolve(true),
    setNicLink: async () => true,
    setNicLinkSpeed: async () => {},
    moveMouse: () => Promise.resolve(true),
    addMemory: (bytes) => Promise.resolve(bytes),
    heartbeat: () => Promise.resolve('ok' as const),
    attachDisk: () => {
      return Promise.resolve({
        controllerType: 'scsi',
        controllerNumber: 0,
        controllerLocation: 0,
      })
    },
    detachDisk: () => Promise.resolve(),
    insertDvd: () => Promise.resolve(),
    ejectDvd: () => Promise.resolve(),
    save: () => Promise.resolve(),
    restore: () => Promise.reject(new Error('nothing was saved')),
    resizeDisk: () => Promise.resolve(),
  }
}

/** A result whose figures follow from the spec and a number, so that sums can be checked by hand. */
export function fakeResult(spec: LoadSpec, seed = 1): LoadResult {
  const packets = 1000 * seed
  const histogram = build({ numberOfSignificantValueDigits: 3, bitBucketSize: 32 })
  for (let sample = 1; sample <= 1000; sample++) histogram.recordValue(500 + sample * seed)
  const recorded = spec.direction === 'echo' || spec.loop.kind === 'open'
  return {
    spec,
    packets,
    bytes: packets * spec.payloadBytes,
    elapsedNs: 1e6,
    sequenceErrors: 0,
    peerSequenceErrors: 0,
    packetsMissing: 0,
    signalsSent: 10,
    signalsReceived: 5,
    fullRingWaits: 2,
    peerFullRingWaits: 1,
    wakes: 4,
    peerWakes: 3,
    latency: recorded
      ? {
          histogram: encodeIntoCompressedBase64(histogram),
          count: 1000,
          minNs: 501,
          meanNs: 1000,
          p50Ns: 1000,
          p99Ns: 1490,
          maxNs: 1500,
        }
      : null,
    guestCpu: { userMicroseconds: 900, systemMicroseconds: 100 },
    heapBytesPerPacket: 0.5,
    channels: [],
  }
}
