// What the root answers on one control port. Each VM's worker process has a port of its own, and what it created
// through it lives as long as the port: when the process dies, its partition goes with it.

import { expose } from 'comlink'
import { portEndpoint } from '@guestyard/engine/node'
import { HvStatus, hvStatusName } from '@guestyard/hvdef'
import type { MessagePort } from 'node:worker_threads'

import type { CrashInspection } from './crash-inspection.ts'
import {
  describeAddress,
  type DiskAddress,
  type DiskSource,
  type DiskSpec,
} from './disks/disk-spec.ts'
import type { PartitionDisks } from './disks/partition-disks.ts'
import type { RootPartition } from './root-partition.ts'
import type { LineChange } from './interrupts/index.ts'
import { ExitMailbox, type EmulatedRanges, type ExitAnswer, type VpExit } from './vid/index.ts'
import type {
  AddMemoryResult,
  CreatePartitionResult,
  DiskResult,
  HeartbeatStatus,
  PartitionSpec,
  RootInspection,
  RootServices,
  SavedPartition,
  ShutdownOutcome,
  ShutdownRequest,
  SwitchSpec,
  Unsaved,
} from './worker-protocol.ts'

/** What only the worker knows: its engine, its CPU time, its timers. */
export interface RootWorker {
  engine(): unknown
  cpuMicroseconds(): number
  watch(partitionId: number, limitMs: number): Promise<void>
  /** A call made work that no doorbell announces: the engine must poll. */
  changed(): void
  /** Bytes of disks in memory that were kept under these keys are wanted no more. */
  forgetMemory(keys: Iterable<string>): void
}

/** Ports that are served, by number: what resolves when all behind one is gone. */
interface Attachments {
  last: number
  readonly released: Map<number, Promise<void>>
}

const NO_PARTITION: DiskResult = { ok: false, reason: 'no such partition' }

function resultOf(reason: string | null): DiskResult {
  return reason === null ? { ok: true } : { ok: false, reason }
}

class PortServices implements RootServices {
  readonly #root: RootPartition
  readonly #worker: RootWorker
  readonly #attachments: Attachments
  readonly #created: Set<number>
  readonly #mailboxes: Map<number, ExitMailbox>
  /** Of disks in memory that came over this port. */
  readonly #memoryKeys: Set<string> = new Set()
  /** Partitions whose images are still being closed. */
  readonly #ending: Set<Promise<void>> = new Set()

  constructor(root: RootPartition, worker: RootWorker, attachments: Attachments) {
    this.#root = root
    this.#worker = worker
    this.#attachments = attachments
    this.#created = new Set()
    this.#mailboxes = new Map()
  }

  createPartition(spec: PartitionSpec): CreatePartitionResult {
    for (const disk of spec.disks ?? []) this.#noteKey(disk)
    const result = this.#root.createPartition(spec)
    // Its VPs wait for their first grant.
    this.#worker.changed()
    if (!result.ok) {
      this.#until(this.#root.refusedGone)
      return result
    }
    const { partitionId } = result.start
    this.#created.add(partitionId)
    const status = this.#emulate(partitionId, spec.emulated)
    if (status === HvStatus.SUCCESS) return result
    void this.deletePartition(partitionId)
    const reason = `partition "${spec.name}" refused: ${hvStatusName(status)} for its emulated devices`
    return { ok: false, status, reason }
  }

  async deletePartition(partitionId: number): Promise<void> {
    // A worker process may only end what it started: one VM's can't reach its neighbour.
    if (!this.#created.delete(partitionId)) return
    const ended = this.#end(partitionId)
    this.#worker.changed()
    await ended
  }

  addMemory(partitionId: number, bytes: number): AddMemoryResult {
    if (!this.#created.has(partitionId)) {
      return { ok: false, status: HvStatus.INVALID_PARTITION_ID, reason: 'no such partition' }
    }
    return this.#root.addMemory(partitionId, bytes)
  }

  attachDisk(partitionId: number, disk: DiskSpec): DiskResult {
    this.#noteKey(disk)
    return this.#changeDisks(partitionId, (disks) => disks.attach(disk))
  }

  defineSwitch(spec: SwitchSpec): DiskResult {
    const result = resultOf(this.#root.networks.define(spec))
    this.#worker.changed()
    return result
  }

  closeSwitches(): void {
    this.#root.networks.close()
  }

  setNicLink(partitionId: number, nic: number, isUp: boolean): boolean {
    if (!this.#created.has(partitionId)) return false
    const isThere = this.#root.setNicLink(partitionId, nic, isUp)
    this.#worker.changed()
    return isThere
  }

  setNicLinkSpeed(partitionId: number, nic: number, mbps: number): DiskResult {
    if (!this.#created.has(partitionId)) return NO_PARTITION
    const reason = this.#root.setNicLinkSpeed(partitionId, nic, mbps)
    this.#worker.changed()
    return resultOf(reason)
  }

  async detachDisk(partitionId: number, address: DiskAddress): Promise<DiskResult> {
    let closed: Promise<void> | undefined
    const result = this.#changeDisks(partitionId, (disks) => {
      closed = disks.detach(address)
      return closed === undefined ? `no disk at ${describeAddress(address)}` : null
    })
    await closed
    return result
  }

  insertDvd(partitionId: number, address: DiskAddress, source: DiskSource): DiskResult {
    return this.#changeDisks(partitionId, (disks) => disks.insert(address, source))
  }

  async ejectDvd(partitionId: number, address: DiskAddress): Promise<DiskResult> {
    let closed: Promise<void> | string | undefined
    const result = this.#changeDisks(partitionId, (disks) => {
      closed = disks.eject(address)
      return typeof closed === 'string' ? closed : null
    })
    await closed
    return result
  }

  async resizeDisk(
    partitionId: number,
    address: DiskAddress,
    sizeBytes: number,
  ): Promise<DiskResult> {
    if (!this.#created.has(partitionId)) return NO_PARTITION
    const resized = this.#root.disksOf(partitionId)?.resize(address, sizeBytes)
    this.#worker.changed()
    return resultOf((await resized) ?? null)
  }

  notResponding(partitionId: number, limitMs: number): Promise<void> {
    return this.#worker.watch(partitionId, limitMs)
  }

  shutDown(partitionId: number, request: ShutdownRequest): Promise<ShutdownOutcome> {
    const { promise, resolve } = Promise.withResolvers<ShutdownOutcome>()
    if (this.#created.has(partitionId)) this.#root.shutDown(partitionId, request, resolve)
    else resolve('unavailable')
    this.#worker.changed()
    return promise
  }

  heartbeat(partitionId: number): HeartbeatStatus {
    return this.#root.devicesOf(partitionId)?.integration.heartbeat.status ?? 'no-contact'
  }

  crashOf(partitionId: number): CrashInspection | null {
    return this.#created.has(partitionId) ? this.#root.crashOf(partitionId) : null
  }

  hold(partitionId: number): SavedPartition | Unsaved {
    if (this.#created.has(partitionId)) return this.#root.hold(partitionId)
    return { unsaved: 'there is no such partition', mayChange: false }
  }

  release(partitionId: number): void {
    if (!this.#created.has(partitionId)) return
    this.#root.release(partitionId)
    this.#worker.changed()
  }

  restorePartition(partitionId: number, saved: SavedPartition): DiskResult {
    if (!this.#created.has(partitionId)) return NO_PARTITION
    try {
      return resultOf(this.#root.restore(partitionId, saved))
    } catch (error) {
      // A record that says nothing a guest could: whoever made the file up gets no machine.
      const why = error instanceof Error ? error.message : String(error)
      return { ok: false, reason: `its records make no sense (${why})` }
    } finally {
      this.#worker.changed()
    }
  }

  restored(partitionId: number): void {
    if (!this.#created.has(partitionId)) return
    this.#root.restored(partitionId)
    this.#worker.changed()
  }

  pressKey(partitionId: number, makeCode: number, flags: number): boolean {
    const taken = this.#root.devicesOf(partitionId)?.keyboard.pressKey(makeCode, flags) ?? false
    this.#worker.changed()
    return taken
  }

  moveMouse(partitionId: number, x: number, y: number, buttons: number, wheel: number): boolean {
    const mouse = this.#root.devicesOf(partitionId)?.mouse
    const taken = mouse?.moveTo(x, y, buttons, wheel) ?? false
    this.#worker.changed()
    return taken
  }

  exchangeExits(
    partitionId: number,
    lines: readonly LineChange[],
    answers: readonly ExitAnswer[],
  ): Promise<readonly VpExit[]> {
    const mailbox = this.#mailboxes.get(partitionId)
    if (mailbox === undefined) return Promise.resolve([])
    // Before the VP goes on: it may look at once.
    this.setLines(partitionId, lines)
    const intercepts = this.#root.interceptsOf(partitionId)
    for (const { vp, sequence, answer } of answers) intercepts?.complete(vp, sequence, answer)
    return mailbox.next()
  }

  setLines(partitionId: number, lines: readonly LineChange[]): void {
    if (!this.#created.has(partitionId)) return
    for (const { line, asserted } of lines) this.#root.setLine(partitionId, line, asserted)
  }

  alive(): void {}

  inspect(): RootInspection {
    return {
      ...this.#root.inspect(),
      engine: this.#worker.engine(),
      cpuMicroseconds: this.#worker.cpuMicroseconds(),
    }
  }

  attach(port: MessagePort): number {
    const { released } = this.#attachments
    this.#attachments.last += 1
    const attachment = this.#attachments.last
    const gone = serve(port, this.#root, this.#worker, this.#attachments)
    const forgotten = gone.finally(() => released.delete(attachment))
    released.set(attachment, forgotten)
    return attachment
  }

  async released(attachment: number): Promise<void> {
    await this.#attachments.released.get(attachment)
  }

  /** The port closed: whoever was behind it is gone. Resolves when its partitions' images are free, deleted ones' included. */
  async dispose(): Promise<void> {
    for (const partitionId of this.#created) void this.#end(partitionId)
    this.#created.clear()
    this.#worker.changed()
    await Promise.all(this.#ending)
    this.#worker.forgetMemory(this.#memoryKeys)
  }

  #noteKey({ source }: DiskSpec): void {
    if (source?.is === 'memory' && source.key !== undefined) this.#memoryKeys.add(source.key)
  }

  /** `change` says why it did nothing, or null. */
  #changeDisks(partitionId: number, change: (disks: PartitionDisks) => string | null): DiskResult {
    const disks = this.#created.has(partitionId) ? this.#root.disksOf(partitionId) : undefined
    if (disks === undefined) return NO_PARTITION
    const reason = change(disks)
    this.#worker.changed()
    return resultOf(reason)
  }

  /** Whoever is behind this port is not gone before. */
  #until(ended: Promise<void>): void {
    this.#ending.add(ended)
    void ended.then(() => this.#ending.delete(ended))
  }

  #end(partitionId: number): Promise<void> {
    const ended = this.#root.deletePartition(partitionId)
    this.#until(ended)
    this.#mailboxes.get(partitionId)?.close()
    this.#mailboxes.delete(partitionId)
    return ended
  }

  /** Exits of these ranges wait for whoever is behind this port. */
  #emulate(partitionId: number, ranges: EmulatedRanges | undefined): HvStatus {
    const queue = this.#root.interceptsOf(partitionId)
    if (ranges === undefined || queue === undefined) return HvStatus.SUCCESS
    const mailbox = new ExitMailbox()
    this.#mailboxes.set(partitionId, mailbox)
    return queue.own(ranges, mailbox)
  }
}

/** Serves `RootServices` on a port until it closes. */
export function servePort(port: MessagePort, root: RootPartition, worker: RootWorker): void {
  void serve(port, root, worker, { last: 0, released: new Map() })
}

/** Resolves when the port has closed and all that was created through it is gone. */
function serve(
  port: MessagePort,
  root: RootPartition,
  worker: RootWorker,
  attachments: Attachments,
): Promise<void> {
  const services = new PortServices(root, worker, attachments)
  const gone = Promise.withResolvers<void>()
  expose(services, portEndpoint(port))
  port.on('close', () => gone.resolve(services.dispose()))
  return gone.promise
}
