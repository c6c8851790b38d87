// VMWP: the worker process of one running VM, as one task of a Piscina pool. It owns the VM's partition from
// creation to deletion and watches the guest's thread. When it dies, only its VM is gone.

import { expose, wrap, type Remote } from 'comlink'
import { createPortLogger, portEndpoint, type PortLogger } from '@guestyard/engine/node'
import type {
  PartitionSpec,
  PartitionStart,
  RootServices,
} from '@guestyard/root-partition/worker-protocol'
import type { IdeDiskPort } from '@guestyard/x86-partition/worker-protocol'

import { EmulatedMachine } from './emulated/machine.ts'
import { DeviceWork, serveExits } from './emulated/serve-exits.ts'
import type { ServedDisks } from './emulated/served-disks.ts'
import type { DiskWaker } from './emulated/vm-disks.ts'
import { GuestLog } from './guest-log.ts'
import { bootGuest, startGuestThread, type GuestThread } from './guest-thread.ts'
import { ramOf, type RestingMachine } from './save-machine.ts'
import {
  SAVED_VM_VERSION,
  readSavedVm,
  savedDisks,
  type SavedVm,
  type SavedVmFile,
} from './saved/saved-vm.ts'
import { PresentDisks } from './present-disks.ts'
import type { BootReport, VmOutcome, VmTask } from './protocol.ts'
import { VmControl } from './vm-control.ts'
import { WorkerProcess, type BootEnd } from './worker-process.ts'

/** One VM in its worker process, through all boots of its machine. */
interface RunningVm {
  readonly task: VmTask
  readonly log: PortLogger
  readonly root: Remote<RootServices>
  readonly control: VmControl
  readonly disks: PresentDisks
  /** What this boot goes on from, or null. */
  readonly saved: SavedVmFile | null
}

/** Runs the VM and resolves with the reason of its end. Never rejects for what a guest does. */
export async function runVm(task: VmTask): Promise<VmOutcome> {
  const log = createPortLogger(task.logPort, task.logLevel, { component: 'vmwp', vm: task.name })
  const root = wrap<RootServices>(portEndpoint(task.rootPort))
  const control = new VmControl()
  const disks = new PresentDisks(task.disks, task.linux !== null)
  expose(control, portEndpoint(task.controlPort))
  try {
    let saved = readSaved(task)
    if (typeof saved === 'string') {
      return { exit: { reason: 'start-failed', detail: saved }, boot: null, reports: [] }
    }
    for (let boot: BootReport | null = null; ;) {
      const { end, ...rest } = await runBoot({ task, log, root, control, disks, saved })
      saved = null
      boot ??= rest.boot
      if (end !== 'reset') return { exit: end, boot, reports: rest.reports }
      log.info('the guest resets its machine, which boots again')
    }
  } finally {
    // The pool reuses this thread: nothing of this VM may keep its event loop alive.
    task.rootPort.close()
    task.controlPort.close()
    task.logPort.close()
  }
}

/** The file that the VM goes on from, null without any, or what is wrong with it, in one line. */
function readSaved({ saved, linux, memoryBytes, disks }: VmTask): SavedVmFile | null | string {
  if (saved === null) return null
  if (linux === null) return `${saved}: only Linux guests are saved`
  try {
    return readSavedVm(saved, memoryBytes, disks)
  } catch (error) {
    return error instanceof Error ? error.message : String(error)
  }
}

/** From a partition to its end: the guest comes to its own, or resets the machine. */
interface BootOutcome extends Omit<VmOutcome, 'exit'> {
  readonly end: BootEnd
}

async function runBoot(vm: RunningVm): Promise<BootOutcome> {
  const { task, log, root } = vm
  const thread = startGuestThread(task)
  const devices = machineOf(log)
  const waker = { wake: (): void => {} }
  let ide: ServedDisks | null = null
  try {
    const died = await Promise.race([thread.loaded, thread.gone])
    if (died !== null) return notStarted(died)
    const opened = await openIde(task, devices, waker)
    if (typeof opened === 'string') return notStarted(opened)
    ide = opened
    const created = await root.createPartition({
      name: task.name,
      memoryBytes: task.memoryBytes,
      memoryMaximumBytes: task.memoryMaximumBytes,
      vpCount: task.vpCount,
      weight: task.weight,
      cap: task.cap,
      reserve: task.reserve,
      relay: task.relay,
      emulated: devices.ranges,
      disks: vm.disks.specs,
      nics: task.nics,
      ...(task.linux === null ? {} : await machineNeeds()),
    })
    if (!created.ok) return notStarted(created.reason)
    log.info({ partitionId: created.start.partitionId }, 'partition created')
    const problem = await restore(vm, created.start)
    if (problem !== null) {
      await root.deletePartition(created.start.partitionId)
      return notStarted(`partition "${task.name}" refused: ${problem}`)
    }
    ide?.bind(created.start)
    const work = new DeviceWork(root, created.start.partitionId, devices)
    waker.wake = work.wake
    // A root that is gone ends the VM by other ways.
    serveExits(root, created.start.partitionId, devices, work).catch(() => {})
    const outcome = await runGuest(vm, thread, created.start, ide?.far ?? null)
    if (outcome.end !== 'reset') {
      log.info({ partitionId: created.start.partitionId, ...outcome.end }, 'guest ended')
    }
    return outcome
  } finally {
    await thread.worker.terminate()
    if (ide !== null) await closeIde(ide, waker, log)
    thread.controlPort.close()
    thread.logPort.close()
  }
}

/** RAM and bus as they were saved. Null, or why they can't be. */
async function restore(
  { root, saved, task }: RunningVm,
  start: PartitionStart,
): Promise<string | null> {
  if (saved === null) return null
  ramOf(start, task.memoryBytes).set(saved.ram)
  const restored = await root.restorePartition(start.partitionId, saved.vm.root)
  return restored.ok ? null : restored.reason
}

/** The VM's IDE disks, null without any, or what is wrong with one, in one line. */
async function openIde(
  task: VmTask,
  machine: EmulatedMachine,
  waker: DiskWaker,
): Promise<ServedDisks | null | string> {
  const disks = task.disks.filter((disk) => disk.controllerType === 'ide')
  const [first] = disks
  if (first === undefined) return null
  const { openMachineDisk, openVmDisks } = await import('./emulated/vm-disks.ts')
  try {
    if (task.linux !== null) return await openMachineDisk(machine, first, waker)
    return await openVmDisks(machine, disks, waker)
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error)
    return `partition "${task.name}" refused: ${why}`
  }
}

async function closeIde(ide: ServedDisks, waker: DiskWaker, log: PortLogger): Promise<void> {
  const { closeVmDisks } = await import('./emulated/vm-disks.ts')
  log.debug(ide.inspect(), 'IDE at its end')
  await closeVmDisks(ide, waker)
  for (const image of ide.lost) {
    log.error({ image }, 'an image was closed with writes that may be lost')
  }
}

function notStarted(detail: string): BootOutcome {
  return { end: { reason: 'start-failed', detail }, boot: null, reports: [] }
}

/** How long the root may take to answer for a partition that is over before its worker process ends all the same. */
const DELETE_PATIENCE_MS = 1_000
/** The same where another boot is to open the images that this one flushes. */
const RESET_PATIENCE_MS = 30_000

async function runGuest(
  vm: RunningVm,
  thread: GuestThread,
  start: PartitionStart,
  ide: IdeDiskPort | null,
): Promise<BootOutcome> {
  const { root } = vm
  const { partitionId } = start
  const isRestored = vm.saved !== null
  const process = new WorkerProcess({ ...vm, thread, start, isRestored })
  let patienceMs = DELETE_PATIENCE_MS
  try {
    bootGuest(thread, start, ide, vm.saved?.vm.guest ?? null)
    const end = await process.ended
    if (end === 'reset') patienceMs = RESET_PATIENCE_MS
    const { resting, boot, reports } = process
    if (resting !== null) {
      await process.dispose()
      const problem = await finishSaving(vm, resting, partitionId)
      if (problem === null) return { end, boot, reports }
      return { end: { reason: 'host-failed', detail: `not saved: ${problem}` }, boot, reports }
    }
    const crash = await within(DELETE_PATIENCE_MS, root.crashOf(partitionId))
    const isCrash = end !== 'reset' && crash !== undefined && crash !== null
    return {
      end: isCrash ? { ...end, crash } : end,
      ...{ boot: process.boot, reports: process.reports },
    }
  } finally {
    await process.dispose()
    // A root that does not answer must not hold the VM's end up; the root deletes what was created through a port that closes.
    await within(patienceMs, root.deletePartition(partitionId))
  }
}

/** The images of a machine that stands still are closed, and its file gets its records and its name. How it ended. */
async function finishSaving(
  vm: RunningVm,
  resting: RestingMachine,
  id: number,
): Promise<string | null> {
  const { root, guest, file } = resting
  const closed = vm.root.deletePartition(id).then(() => true)
  if ((await within(RESET_PATIENCE_MS, closed)) !== true) {
    file.abandon()
    return 'its images were not closed'
  }
  try {
    const disks = savedDisks(vm.disks.specs)
    file.commit({ version: SAVED_VM_VERSION, root, guest, disks } satisfies SavedVm)
    return null
  } catch (error) {
    return error instanceof Error ? error.message : String(error)
  }
}

/** What the root answers; undefined when it takes longer. */
async function within<T>(ms: number, answer: Promise<T>): Promise<T | undefined> {
  const patience = Promise.withResolvers<undefined>()
  const timer = setTimeout(() => patience.resolve(undefined), ms)
  try {
    return await Promise.race([answer, patience.promise])
  } finally {
    clearTimeout(timer)
  }
}

/** The VM's emulated devices. What a guest writes to its serial port is as free as its log, and as limited. */
function machineOf(log: PortLogger): EmulatedMachine {
  const lines = new GuestLog(
    log.child({ device: 'serial' }),
    () => performance.now(),
    () => {},
  )
  return new EmulatedMachine((line) => lines.accept(JSON.stringify({ level: 30, msg: line })))
}

/** What a machine guest's partition must be like. Loaded when there is one: no script guest's worker process pays for it. */
async function machineNeeds(): Promise<Pick<PartitionSpec, 'rooms' | 'privileges'>> {
  const needs = await import('@guestyard/x86-partition/worker-protocol')
  return { rooms: needs.MACHINE_ROOMS, privileges: needs.MACHINE_PRIVILEGES }
}
