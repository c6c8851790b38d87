/**
 * The machines as a scenario sees them. A machine that failed without the scenario ever looking
 * (awaiting its start or its exit) makes the run fail: nothing dies unnoticed.
 */

import { fileURLToPath, pathToFileURL } from 'node:url'

import type { DiskAddress, Host, HostOptions, Vm, VmExit, VmState } from '@guestyard/management'
import type { LoadResult, LoadSpec } from '@guestyard/load-device/protocol'
import type { HeartbeatStatus } from '@guestyard/root-partition/worker-protocol'

import { imageOfDisc, planOneDisk, type DiskDefinition, type DvdDefinition } from './disk-plan.ts'
import type { LoadTarget } from './load/load-generator.ts'
import { parseByteSize, show } from './quantity.ts'

/** What a scenario needs of a machine; `Vm` of management has it. */
export type ScenarioVm = Pick<
  Vm,
  | 'name'
  | 'state'
  | 'lastExit'
  | 'exit'
  | 'start'
  | 'stop'
  | 'turnOff'
  | 'programEnded'
  | 'runLoad'
  | 'call'
  | 'exec'
  | 'takeReports'
  | 'inspectGuest'
  | 'pressKey'
  | 'setNicLink'
  | 'setNicLinkSpeed'
  | 'moveMouse'
  | 'addMemory'
  | 'heartbeat'
  | 'attachDisk'
  | 'detachDisk'
  | 'insertDvd'
  | 'ejectDvd'
  | 'resizeDisk'
  | 'save'
  | 'restore'
>

/** What a scenario needs of a host; `Host` of management has it. */
export interface ScenarioHost {
  createVm(options: Parameters<Host['createVm']>[0]): ScenarioVm
  inspect(): ReturnType<Host['inspect']>
  close(graceMs?: number): Promise<void>
}

/** `startHost` of management, or a fake of it. */
export type StartHost = (options: HostOptions) => Promise<ScenarioHost>

/** What a machine says once it is up. */
export type BootReport = Awaited<ReturnType<ScenarioVm['start']>>

/** A machine in a scenario's `run`. */
export interface VmHandle extends LoadTarget {
  readonly name: string
  readonly state: VmState
  /** Resolves when its bus is up and its program runs; rejects when it could not start. */
  started(): Promise<BootReport>
  /** Resolves with the reason when it has ended. */
  readonly exit: Promise<VmExit>
  /** Starts it again after it ended. */
  restart(): Promise<BootReport>
  /** Asks it to shut down, and ends it when it does not. */
  stop(): Promise<void>
  /** Ends it at once. */
  turnOff(): Promise<void>
  /** Calls a function that its program exposed; plain data both ways. */
  call(name: string, data?: unknown): Promise<unknown>
  /**
   * Runs a shell script in a Linux guest; resolves with its exit code and what it printed, errors included, as text. Rejects when the
   * machine ends before it has.
   */
  exec(script: string): Promise<{ readonly exitCode: number; readonly output: string }>
  /** Resolves when its program has returned; rejects with what it threw. */
  programEnded(): Promise<void>
  /** What its program reported since the last call. */
  takeReports(): Promise<unknown[]>
  runLoad(spec: LoadSpec): Promise<LoadResult>
  /** More RAM while it runs: `'64 MiB'` or bytes, up to its maximum. Resolves with its RAM in all, in bytes, once the guest has it. */
  addMemory(size: string | number): Promise<number>
  /** Whether it answers its heartbeat service: `ok`, `no-contact` while it never has, `lost-communication` after ten seconds. */
  heartbeat(): Promise<HeartbeatStatus>
  /**
   * A disk or DVD drive more while it runs, on a SCSI controller: `{ vhdx: 'new.vhdx', size: '1 GiB' }`, `{ iso: 'tools.iso' }`, relative
   * to the scenario file. Resolves with its place once the guest has been told.
   */
  attachDisk(disk: DiskDefinition | DvdDefinition): Promise<DiskAddress>
  /** Takes a disk out, whatever the guest does with it. Resolves when its image is free. */
  detachDisk(place: DiskAddress): Promise<void>
  /** Puts a disc into an empty DVD drive on a SCSI controller. Resolves once the guest has been told. */
  insertDvd(place: DiskAddress, iso: string | URL): Promise<void>
  /** Takes the disc out of a drive, whatever the guest does with it. Resolves when its image is free. */
  ejectDvd(place: DiskAddress): Promise<void>
  /** Makes a disk on a SCSI controller larger, a VHDX or a raw image: `'2 GiB'` or bytes. Resolves once the guest has been told. */
  resizeDisk(place: DiskAddress, size: string | number): Promise<void>
  /**
   * Saves a Linux machine to a file, relative to the scenario file, and turns it off: its time stands still from here on. It has SCSI disks
   * alone, and no command runs in it that somebody waits for. In virtual time only. Rejects with the reason, and it runs on.
   */
  save(file: string | URL): Promise<void>
  /** Instead of `restart`: it goes on from a file, over disks as they were. Rejects, in one line, when it can't, and nothing runs. */
  restore(file: string | URL): Promise<BootReport>
  /** The guest's own counters. */
  inspect(): Promise<unknown>
  /** Pulls the cable of its adapter of this number, or plugs it in. False when it has no such adapter. */
  setNicLink(nic: number, isUp: boolean): Promise<boolean>
  /** Changes the speed of its adapter's link, in Mbit/s: the guest is told. Rejects when it has no such adapter. */
  setNicLinkSpeed(nic: number, mbps: number): Promise<void>
  /** Set-1 make code; false when its keyboard can't take it now. */
  pressKey(makeCode: number, flags?: number): Promise<boolean>
  /** Absolute position 0..32767; false when its mouse can't take it now. */
  moveMouse(x: number, y: number, buttons?: number, wheel?: number): Promise<boolean>
}

/** The host in a scenario's `run`. */
export interface HostHandle {
  /** Counters of the root: hypercalls, memory, scheduler, and each partition's bus, interrupts and devices. */
  inspect(): ReturnType<Host['inspect']>
}

/** All machines of a scenario; also a list of them. */
export interface VmGroup extends Iterable<VmHandle> {
  readonly list: readonly VmHandle[]
  /** Resolves when every machine is up. */
  started(): Promise<readonly BootReport[]>
  /** Resolves with every machine's reason when all have ended. */
  exited(): Promise<readonly VmExit[]>
  stop(): Promise<void>
}

/** A handle and what the runner keeps about it. */
export interface TrackedVm {
  readonly handle: VmHandle
  readonly vm: ScenarioVm
  /** Milliseconds from asked to running; `null` while it is not. */
  readonly startMs: () => number | null
  /** RAM that it grew to; `null` while it has what it started with. */
  readonly grownBytes: () => number | null
  /** One line when it failed and the scenario never looked. */
  readonly unnoticedFailure: () => string | undefined
}

/** Starts a machine and wraps it; a failure to start is kept for whoever awaits `started()`. */
export function trackVm(
  vm: ScenarioVm,
  nowMs: () => number = () => performance.now(),
  base: string = pathToFileURL(`${process.cwd()}/`).href,
): TrackedVm {
  let noticed = false
  let startMs: number | null = null
  let grownBytes: number | null = null
  const start = async (file: string | null): Promise<BootReport> => {
    const from = nowMs()
    grownBytes = null
    const report = await (file === null ? vm.start() : vm.restore(file))
    startMs = nowMs() - from
    return report
  }
  let starting = start(null)
  let startFailure: string | undefined
  const keepFailure = (): void => {
    starting.catch((error: unknown) => {
      startFailure = error instanceof Error ? error.message : String(error)
    })
  }
  keepFailure()
  const startAgain = (file: string | null): Promise<BootReport> => {
    startFailure = undefined
    starting = start(file)
    keepFailure()
    return starting
  }
  const handle: VmHandle = {
    name: vm.name,
    get state() {
      return vm.state
    },
    get exit() {
      noticed = true
      return starting.then(
        () => vm.exit,
        () => vm.exit,
      )
    },
    started() {
      noticed ||= startFailure !== undefined
      return starting.catch((error: unknown) => {
        noticed = true
        throw error
      })
    },
    restart: () => startAgain(null),
    save: async (file) => vm.save(fileURLToPath(new URL(file, base))),
    restore: async (file) => startAgain(fileURLToPath(new URL(file, base))),
    stop: () => vm.stop(),
    turnOff: () => vm.turnOff(),
    ...guestCalls(vm),
    addMemory: async (size) => (grownBytes = await vm.addMemory(bytesOf(size, 'addMemory'))),
    ...diskCalls(vm, base),
    ...deviceCalls(vm),
  }
  return {
    handle,
    vm,
    startMs: () => startMs,
    grownBytes: () => grownBytes,
    unnoticedFailure() {
      if (noticed) return undefined
      if (vm.state === 'failed') return vm.lastExit === null ? 'failed' : describeExit(vm.lastExit)
      return startFailure
    },
  }
}

/** What is asked of the guest itself. */
function guestCalls(
  vm: ScenarioVm,
): Pick<VmHandle, 'call' | 'exec' | 'programEnded' | 'takeReports' | 'runLoad'> {
  return {
    call: (name, data) => vm.call(name, data),
    exec: async (script) => {
      const { exitCode, output } = await vm.exec(script)
      return { exitCode, output: new TextDecoder().decode(output) }
    },
    programEnded: () => vm.programEnded(),
    takeReports: () => vm.takeReports(),
    runLoad: (spec) => vm.runLoad(spec),
  }
}

/** What is asked of its devices. */
function deviceCalls(
  vm: ScenarioVm,
): Pick<
  VmHandle,
  'heartbeat' | 'inspect' | 'pressKey' | 'moveMouse' | 'setNicLink' | 'setNicLinkSpeed'
> {
  return {
    heartbeat: () => vm.heartbeat(),
    inspect: () => vm.inspectGuest(),
    setNicLink: (nic, isUp) => vm.setNicLink(nic, isUp),
    setNicLinkSpeed: (nic, mbps) => vm.setNicLinkSpeed(nic, mbps),
    pressKey: (makeCode, flags) => vm.pressKey(makeCode, flags),
    moveMouse: (x, y, buttons, wheel) => vm.moveMouse(x, y, buttons, wheel),
  }
}

/** Disks and discs. `base` is where paths begin. */
function diskCalls(
  vm: ScenarioVm,
  base: string,
): Pick<VmHandle, 'attachDisk' | 'detachDisk' | 'insertDvd' | 'ejectDvd' | 'resizeDisk'> {
  const where = `vms.${vm.name}`
  return {
    attachDisk: async (disk) => vm.attachDisk(planOneDisk(disk, base, `${where}.attachDisk`)),
    detachDisk: (place) => vm.detachDisk(place),
    insertDvd: async (place, iso) => {
      await vm.insertDvd(place, imageOfDisc(iso, base, `${where}.insertDvd`))
    },
    ejectDvd: (place) => vm.ejectDvd(place),
    resizeDisk: async (place, size) => vm.resizeDisk(place, bytesOf(size, 'resizeDisk')),
  }
}

function bytesOf(size: string | number, what: string): number {
  const parsed = parseByteSize(size)
  if (!parsed.ok) throw new RangeError(`${what}: ${parsed.problem}`)
  return parsed.value
}

/** The machines as a group. */
export function groupOf(handles: readonly VmHandle[]): VmGroup {
  return {
    list: handles,
    [Symbol.iterator]: () => handles[Symbol.iterator](),
    started: () => Promise.all(handles.map((handle) => handle.started())),
    exited: () => Promise.all(handles.map((handle) => handle.exit)),
    async stop() {
      await Promise.all(handles.map((handle) => handle.stop()))
    },
  }
}

/** Characters of a guest's own words that go on a line. */
const DETAIL_MAX = 200

/** A machine's end on one line. The detail may be a guest's own words: it is taken as anything at all. */
export function describeExit(exit: VmExit): string {
  const said: unknown = exit.detail
  const line = (typeof said === 'string' ? said : show(said)).split(/[\r\n]/, 1)[0] ?? ''
  const detail = line.length > DETAIL_MAX ? `${line.slice(0, DETAIL_MAX)}…` : line
  return detail === '' ? exit.reason : `${exit.reason}: ${detail}`
}
