// HOT
// What every logical unit is: a server of commands over disks, with the commands that are under way and the initiators that it has to
// tell something. Disks and DVD drives say what their commands mean.
//
//   execute ─► ended at once: DONE
//        └───► the disk has it: PENDING ─► poll, or abort and reset ─► DONE or ABORTED, once

import { assert, assertNever } from '@guestyard/hvdef'
import { DiskOperation, DiskStatus, type Disk } from '../backends/disk.ts'
import { isWellFormed } from './cdb.ts'
import { Attention, type Nexus } from './nexus.ts'
import { ScsiOpcode } from './opcodes.ts'
import { UNMAP_LIST_BYTES_MAX } from './provisioning.ts'
import { SENSE_BYTES, ScsiOutcome, type ScsiRequest } from './scsi-request.ts'
import { Sense, composeSense, fail } from './sense.ts'
import { givenData, respond, roomForData, shorten, succeed } from './transfer.ts'

/** Bytes of the longest answer or parameter list of any command, the list of an UNMAP. */
const SCRATCH_BYTES = UNMAP_LIST_BYTES_MAX
const DESCRIPTOR_FORMAT = 0x01
/** Bytes that a disk fills or gives up at most when it is asked to, before it leaves the rest for polls. */
const FILL_AT_ONCE = 1 << 18
/** What a step of a job takes of a poll's budget. */
const STEP_UNITS = 16

const ATTENTION_SENSE: Readonly<Record<number, Sense>> = {
  [Attention.BUS_RESET]: Sense.BUS_RESET_OCCURRED,
  [Attention.DEVICE_RESET]: Sense.DEVICE_RESET_OCCURRED,
  [Attention.MEDIUM_CHANGED]: Sense.MEDIUM_MAY_HAVE_CHANGED,
  [Attention.CAPACITY_CHANGED]: Sense.CAPACITY_DATA_HAS_CHANGED,
  [Attention.MODE_PARAMETERS_CHANGED]: Sense.MODE_PARAMETERS_CHANGED,
  [Attention.RESERVATIONS_PREEMPTED]: Sense.RESERVATIONS_PREEMPTED,
  [Attention.RESERVATIONS_RELEASED]: Sense.RESERVATIONS_RELEASED,
  [Attention.REGISTRATIONS_PREEMPTED]: Sense.REGISTRATIONS_PREEMPTED,
  [Attention.LUNS_CHANGED]: Sense.REPORTED_LUNS_DATA_HAS_CHANGED,
}

export abstract class LogicalUnit {
  /** For an answer that is composed, or a parameter list that is looked at, within one call. */
  protected readonly scratch: Uint8Array = new Uint8Array(SCRATCH_BYTES)
  readonly #nexuses: Nexus[] = []
  /** Disks that serve commands of this unit, and those that have been let go but still have some. */
  readonly #disks: Disk[] = []
  readonly #leaving: Disk[] = []
  /** Commands under way, oldest first. */
  #first: ScsiRequest | null = null
  #last: ScsiRequest | null = null
  #inFlight = 0
  /** Steps of jobs that may be begun now, and whether one had to be left for later. */
  #steps = 0
  #hasMoreSteps = false

  /** Commands under way, of every target. */
  get inFlight(): number {
    return this.#inFlight
  }

  /** What `inspect` calls it. */
  abstract readonly kind: 'disk' | 'dvd'

  /** Notices what changed since the last command, and raises attentions. */
  protected abstract lookAround(): void

  /**
   * True for commands that are served though the initiator has something to be told first. INQUIRY, as SPC-4 section 5.14 has it; and MODE
   * SENSE (6), against it: Linux takes every answer to that for a success (drivers/scsi/storvsc_drv.c, storvsc_on_io_completion), and would
   * never learn that a disk has grown which told it so there.
   */
  protected ignoresAttentions(opcode: number): boolean {
    return opcode === ScsiOpcode.INQUIRY || opcode === ScsiOpcode.MODE_SENSE_6
  }

  /** Serves a command that nothing stands against. Ends it, or has `submit` begin it. */
  protected abstract dispatch(request: ScsiRequest, nexus: Nexus): void

  /** Called by targets. */
  join(nexus: Nexus): void {
    this.#nexuses.push(nexus)
  }

  /** Called by targets. Commands that are under way go on, or have been aborted. */
  leave(nexus: Nexus): void {
    this.#nexuses.splice(this.#nexuses.indexOf(nexus), 1)
  }

  /** Called by targets. Never throws, whatever the command is. */
  execute(request: ScsiRequest, nexus: Nexus): void {
    assert(request.disk === null, 'A request is executed when the last command in it has ended.')
    const opcode = request.cdb[0]!
    request.nexus = nexus
    request.cancelled = false
    this.lookAround()
    nexus.used = true
    if (!isWellFormed(request.cdb, request.cdbLength)) {
      fail(request, Sense.INVALID_FIELD_IN_CDB)
    } else if (opcode === ScsiOpcode.REQUEST_SENSE) {
      this.#requestSense(request, nexus)
    } else if (nexus.attentions !== 0 && !this.ignoresAttentions(opcode)) {
      fail(request, ATTENTION_SENSE[nexus.take()]!)
    } else {
      this.dispatch(request, nexus)
    }
  }

  /** Commands are under way with this disk, which the unit may have let go of. */
  isBusyWith(disk: Disk): boolean {
    for (let request = this.#first; request !== null; request = request.next) {
      if (request.disk === disk) return true
    }
    return false
  }

  /** Goes on with what is under way. How many commands have ended is counted in each nexus. */
  poll(budget: number): void {
    if (this.#inFlight === 0) return
    let ended = 0
    for (const disk of this.#disks) ended += disk.poll(budget)
    for (const disk of this.#leaving) ended += disk.poll(budget)
    this.#steps = Math.ceil(budget / STEP_UNITS)
    // Thousands may be under way, and each channel polls. What a disk doesn't count is a close by somebody else: that ends all of them.
    const isClosed = this.#first!.io.status !== DiskStatus.PENDING
    if (ended > 0 || this.#hasMoreSteps || isClosed) this.#reap()
  }

  /** When a disk must be polled though nobody wakes it, by the clock that disks go by; Infinity: never. */
  nextDeadlineMs(): number {
    let least = Infinity
    if (this.#inFlight === 0) return least
    if (this.#hasMoreSteps) return 0
    for (const disk of this.#disks) least = Math.min(least, disk.nextDeadlineMs())
    for (const disk of this.#leaving) least = Math.min(least, disk.nextDeadlineMs())
    return least
  }

  /** Gives up a command under way, if its disk can; otherwise it ends in a later poll. */
  abort(request: ScsiRequest): void {
    this.#cancel(request)
    this.#reap()
  }

  /** Gives up what an initiator has under way, by whatever target. */
  protected abortInitiator(initiator: number): void {
    for (let request = this.#first; request !== null; request = request.next) {
      if (request.nexus!.initiator === initiator) this.#cancel(request)
    }
    this.#reap()
  }

  /** Gives up what a nexus has under way. */
  abortNexus(nexus: Nexus): void {
    for (let request = this.#first; request !== null; request = request.next) {
      if (request.nexus === nexus) this.#cancel(request)
    }
    this.#reap()
  }

  /** Gives up everything, and tells every initiator. Units that keep more state begin anew with that too. */
  reset(attention: Attention): void {
    for (let request = this.#first; request !== null; request = request.next) this.#cancel(request)
    this.#reap()
    this.raise(attention)
  }

  /** Has an attention wait for each initiator, but one. */
  protected raise(attention: Attention, except: Nexus | null = null): void {
    for (const nexus of this.#nexuses) if (nexus !== except) nexus.raise(attention)
  }

  /** Has an attention wait for the initiator of that number. */
  protected raiseFor(initiator: number, attention: Attention): void {
    for (const nexus of this.#nexuses) if (nexus.initiator === initiator) nexus.raise(attention)
  }

  /** Begins to use a disk. */
  protected use(disk: Disk): void {
    this.#disks.push(disk)
  }

  /** Gives up what a disk has under way, and uses it no more. It is polled until it has let go of the last command. */
  protected letGo(disk: Disk): void {
    this.#disks.splice(this.#disks.indexOf(disk), 1)
    this.#leaving.push(disk)
    for (let request = this.#first; request !== null; request = request.next) {
      if (request.disk === disk) this.#cancel(request)
    }
    this.#reap()
  }

  /**
   * Reads blocks of `blockBytes` into the command's own pieces, each of them `scale` blocks of the disk. The range was checked. An
   * initiator with less room gets the whole blocks that fit.
   */
  protected read(
    request: ScsiRequest,
    disk: Disk,
    block: number,
    blockCount: number,
    blockBytes: number,
    scale: number,
  ): void {
    const asked = blockCount * blockBytes
    const room = roomForData(request)
    const blocks = room >= asked ? blockCount : Math.floor(room / blockBytes)
    const bytes = blocks * blockBytes
    request.askedBytes = asked
    if (blocks === 0) return succeed(request)
    if (room !== bytes) shorten(request.data, bytes)
    const io = request.io
    io.operation = DiskOperation.READ
    io.block = block * scale
    io.blockCount = blocks * scale
    io.durable = false
    request.transferredBytes = bytes
    this.submit(request, disk)
  }

  /** Writes blocks from the command's own pieces. The range was checked. An initiator that gives less has nothing written. */
  protected write(
    request: ScsiRequest,
    disk: Disk,
    block: number,
    blockCount: number,
    blockBytes: number,
    durable: boolean,
  ): void {
    const asked = blockCount * blockBytes
    const given = givenData(request)
    request.askedBytes = asked
    if (given < asked) return fail(request, Sense.INVALID_FIELD_IN_CDB)
    if (asked === 0) return succeed(request)
    if (given !== asked) shorten(request.data, asked)
    const io = request.io
    io.operation = DiskOperation.WRITE
    io.block = block
    io.blockCount = blockCount
    io.durable = durable
    request.transferredBytes = asked
    this.submit(request, disk)
  }

  /** Has what was written before made durable. */
  protected flush(request: ScsiRequest, disk: Disk): void {
    request.io.operation = DiskOperation.FLUSH
    request.io.blockCount = 0
    this.submit(request, disk)
  }

  /** Hands the first step of a command to a disk. */
  protected submit(request: ScsiRequest, disk: Disk): void {
    const { io } = request
    request.disk = disk
    if (io.operation >= DiskOperation.UNMAP || request.job !== null) {
      request.filledBytes = FILL_AT_ONCE
    }
    disk.submit(io)
    // Further steps of a job are for polls, within their budget: neighbours come in between.
    this.#steps = 0
    if (this.#advance(request, disk)) return
    request.outcome = ScsiOutcome.PENDING
    request.next = null
    if (this.#last === null) this.#first = request
    else this.#last.next = request
    this.#last = request
    this.#inFlight += 1
    request.nexus!.inFlight += 1
  }

  /** Ends the commands under way whose disk has ended them. */
  #reap(): void {
    this.#hasMoreSteps = false
    let before: ScsiRequest | null = null
    let request = this.#first
    while (request !== null) {
      const next: ScsiRequest | null = request.next
      if (this.#advance(request, request.disk!)) {
        this.#unlink(request, before)
        const nexus = request.nexus!
        nexus.inFlight -= 1
        nexus.ended += 1
      } else {
        before = request
      }
      request = next
    }
    if (this.#leaving.length > 0) this.#forgetIdleDisks()
  }

  #forgetIdleDisks(): void {
    for (let index = this.#leaving.length - 1; index >= 0; index--) {
      if (!this.isBusyWith(this.#leaving[index]!)) this.#leaving.splice(index, 1)
    }
  }

  /** Goes on with a command as far as its disk has, and as steps are left. True: it has ended. */
  #advance(request: ScsiRequest, disk: Disk): boolean {
    const { io, job } = request
    if (job !== null) {
      while (io.status === DiskStatus.OK && job.hasNext) {
        if (request.cancelled) {
          // What remains is not done.
          io.status = DiskStatus.ABORTED
        } else if (this.#steps === 0) {
          this.#hasMoreSteps = true
          return false
        } else {
          this.#steps -= 1
          job.next(io)
          disk.submit(io)
        }
      }
    }
    if (io.status === DiskStatus.PENDING) return false
    job?.end()
    request.job = null
    request.disk = null
    finish(request)
    return true
  }

  #unlink(request: ScsiRequest, before: ScsiRequest | null): void {
    if (before === null) this.#first = request.next
    else before.next = request.next
    if (this.#last === request) this.#last = before
    request.next = null
    this.#inFlight -= 1
  }

  #cancel(request: ScsiRequest): void {
    request.cancelled = true
    if (request.io.status === DiskStatus.PENDING) request.disk!.abort(request.io)
  }

  #requestSense(request: ScsiRequest, nexus: Nexus): void {
    if ((request.cdb[1]! & DESCRIPTOR_FORMAT) !== 0) {
      return fail(request, Sense.INVALID_FIELD_IN_CDB)
    }
    // Why a command failed goes with its answer. What is left to ask for is an attention.
    const sense = nexus.attentions === 0 ? Sense.NO_SENSE : ATTENTION_SENSE[nexus.take()]!
    composeSense(this.scratch, sense)
    respond(request, this.scratch, SENSE_BYTES, request.cdb[4]!)
  }
}

/** Ends a command as its disk ended the last step. */
function finish(request: ScsiRequest): void {
  const status = request.io.status
  switch (status) {
    case DiskStatus.OK:
      return succeed(request)
    case DiskStatus.ABORTED:
      request.transferredBytes = 0
      request.outcome = ScsiOutcome.ABORTED
      return undefined
    case DiskStatus.OUT_OF_RANGE:
      return fail(request, Sense.LBA_OUT_OF_RANGE)
    case DiskStatus.READ_ONLY:
      return fail(request, Sense.WRITE_PROTECTED)
    case DiskStatus.READ_ERROR:
      return fail(request, Sense.UNRECOVERED_READ_ERROR)
    case DiskStatus.WRITE_ERROR:
    case DiskStatus.NO_SPACE:
      return fail(request, Sense.WRITE_ERROR)
    case DiskStatus.UNSUPPORTED:
      return fail(request, Sense.INVALID_COMMAND_OPERATION_CODE)
    case DiskStatus.PENDING:
      return assert(false, 'A command that its disk still has is not ended.')
    default:
      return assertNever(status)
  }
}
