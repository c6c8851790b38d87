// The IDE disk of a machine guest of generation 1. Its processor's thread has the controller, and asks here for the image's bytes, over a
// port: the image is the worker process's, as those of all IDE disks are.

import { MessageChannel, type MessagePort } from 'node:worker_threads'
import type { DiskSpec } from '@guestyard/root-partition/worker-protocol'
import { describeAddress } from '@guestyard/root-partition/worker-protocol'
import { DiskOperation, DiskRequest, DiskStatus, type Disk } from '@guestyard/storage'
import type {
  IdeDiskPort,
  IdeDiskReply,
  IdeDiskRequest,
} from '@guestyard/x86-partition/worker-protocol'

import type { WorkingDevice } from './machine.ts'
import type { ServedDisks } from './served-disks.ts'

const SECTOR_BYTES = 512
/** What one command moves at most: 65,536 sectors. */
const TRANSFER_MAX_BYTES = 65_536 * SECTOR_BYTES
const POLL_REQUESTS = 32

interface Job {
  readonly id: number
  readonly request: DiskRequest
  readonly data: Uint8Array<ArrayBuffer>
}

export interface MachineDiskInspection {
  readonly reads: number
  readonly writes: number
  readonly failures: number
}

/** One VM's. Its worker process's thread only. */
export class MachineDisk implements ServedDisks, WorkingDevice {
  /** For the processor's thread. */
  readonly far: IdeDiskPort
  readonly #port: MessagePort
  readonly #disk: Disk
  readonly #name: string
  readonly #wake: () => void
  #jobs: Job[] = []
  #reads = 0
  #writes = 0
  #failures = 0

  /** `wake`: called when there is something to poll. */
  constructor(spec: DiskSpec, disk: Disk, wake: () => void) {
    const { port1, port2 } = new MessageChannel()
    this.#disk = disk
    this.#name = spec.source?.is === 'file' ? spec.source.path : 'memory'
    this.#wake = wake
    this.#port = port1
    this.far = { bytes: disk.geometry.blockCount * SECTOR_BYTES, port: port2 }
    port1.on('message', (request: IdeDiskRequest) => this.#accept(request))
  }

  /** Throws for a disk that IDE has no words for. */
  checkSectors(spec: DiskSpec): void {
    const { logicalBlockBytes, readOnly } = this.#disk.geometry
    if (logicalBlockBytes === SECTOR_BYTES && !readOnly) return
    throw new Error(`${describeAddress(spec)}: IDE has writable blocks of 512 bytes only`)
  }

  /** It reaches no RAM: bytes go through the port. */
  bind(): void {}

  poll(): boolean {
    this.#disk.poll(POLL_REQUESTS)
    this.#jobs = this.#jobs.filter((job) => !this.#answer(job))
    return false
  }

  nextDeadlineMs(): number {
    return this.#disk.nextDeadlineMs()
  }

  inspect(): MachineDiskInspection {
    return { reads: this.#reads, writes: this.#writes, failures: this.#failures }
  }

  /** The VM is over. Poll `isClosed` on. */
  close(): void {
    this.#port.close()
    this.#disk.close()
  }

  /** After `close`: goes on with it. True: the image is free. */
  isClosed(): boolean {
    this.#disk.poll(POLL_REQUESTS)
    return this.#disk.closed
  }

  /** Images that were closed with writes that may be lost. */
  get lost(): readonly string[] {
    return this.#disk.closeStatus === DiskStatus.OK ? [] : [this.#name]
  }

  #accept({ id, at, transfer }: IdeDiskRequest): void {
    const isWrite = typeof transfer !== 'number'
    const length = isWrite ? transfer.length : transfer
    if (!isSectors(at) || !isSectors(length) || length > TRANSFER_MAX_BYTES) return this.#fail(id)
    const data = isWrite ? transfer : new Uint8Array(length)
    const request = new DiskRequest(1)
    request.operation = isWrite ? DiskOperation.WRITE : DiskOperation.READ
    request.block = at / SECTOR_BYTES
    request.blockCount = length / SECTOR_BYTES
    request.data.beginBytes(data)
    if (length > 0) request.data.add(0, length)
    if (isWrite) this.#writes += 1
    else this.#reads += 1
    this.#disk.submit(request)
    const job = { id, request, data }
    if (this.#answer(job)) return
    this.#jobs.push(job)
    this.#wake()
  }

  /** True: the job is done, and was answered. */
  #answer({ id, request, data }: Job): boolean {
    if (request.status === DiskStatus.PENDING) return false
    if (request.status !== DiskStatus.OK) this.#fail(id)
    else if (request.operation === DiskOperation.WRITE) this.#reply({ id, data: new Uint8Array() })
    else this.#reply({ id, data })
    return true
  }

  #fail(id: number): void {
    this.#failures += 1
    this.#reply({ id, data: null })
  }

  #reply(reply: IdeDiskReply): void {
    this.#port.postMessage(reply, reply.data === null ? [] : [reply.data.buffer])
  }
}

function isSectors(bytes: number): boolean {
  return Number.isSafeInteger(bytes) && bytes >= 0 && bytes % SECTOR_BYTES === 0
}
