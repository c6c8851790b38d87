// What a dynamic VHDX costs on blocks that it has, beside a raw file of the same bytes: both through their disks, in one run, taking
// turns. The best of many short rounds counts, since a round in which somebody else had the processor says nothing.

import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { cpus, tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'

import {
  DiskOperation,
  DiskRequest,
  DiskStatus,
  RawDisk,
  createVhdx,
  openVhdx,
} from '@guestyard/storage'
import type { Disk } from '@guestyard/storage'
import { createBackingFile } from '@guestyard/storage/file'

const MIB = 1024 * 1024
const DISK_BYTES = 256 * MIB
const BUFFER_BYTES = MIB
const COMMAND = 'npx node packages/storage/scripts/vhdx-figures.ts'

const HELP = `Compares a dynamic VHDX with a raw file, on blocks that are allocated, page-cached.

  ${COMMAND} [options]

  --rounds N      short rounds of each, taking turns (200)
  --json FILE     writes the figures, with machine and Node; - is standard output
  --help          this text

Prints microseconds a request, the ratio, and bytes of garbage a request.
`

interface Figure {
  readonly what: string
  readonly rawMicros: number
  readonly vhdxMicros: number
  /** VHDX over raw: 1.1 is a tenth slower. */
  readonly ratio: number
}

const { values } = parseArgs({
  options: { rounds: { type: 'string' }, json: { type: 'string' }, help: { type: 'boolean' } },
})
if (values.help === true) process.stdout.write(HELP)
else run(Number(values.rounds ?? '200'), values.json)

function run(rounds: number, json: string | undefined): void {
  if (!Number.isSafeInteger(rounds) || rounds < 1) {
    console.error('--rounds: a whole number from 1')
    process.exitCode = 2
    return
  }
  const folder = mkdtempSync(join(tmpdir(), 'guestyard-vhdx-figures-'))
  try {
    const raw = rawDisk(join(folder, 'disk.raw'))
    const vhdx = vhdxDisk(join(folder, 'disk.vhdx'))
    for (const disk of [raw, vhdx]) fillDisk(disk)
    const figures = [
      compare('4 KiB random reads', raw, vhdx, rounds, DiskOperation.READ, 4096, 1000),
      compare('4 KiB random writes', raw, vhdx, rounds, DiskOperation.WRITE, 4096, 400),
      compare('256 KiB sequential reads', raw, vhdx, rounds, DiskOperation.READ, 262_144, 40),
      compare('256 KiB sequential writes', raw, vhdx, rounds, DiskOperation.WRITE, 262_144, 20),
    ]
    const garbageBytes = garbage(vhdx)
    report(figures, garbageBytes, rounds, json)
    for (const disk of [raw, vhdx]) disk.close()
  } finally {
    rmSync(folder, { recursive: true })
  }
}

function report(
  figures: readonly Figure[],
  garbageBytes: number,
  rounds: number,
  json: string | undefined,
): void {
  const say = json === '-' ? console.error : console.log
  for (const { what, rawMicros, vhdxMicros, ratio } of figures) {
    const times = `raw ${rawMicros.toFixed(2)} us, VHDX ${vhdxMicros.toFixed(2)} us`
    say(`${what.padEnd(26)} ${times}, ratio ${ratio.toFixed(3)}`)
  }
  say(`${garbageBytes.toFixed(2)} bytes of garbage a read`)
  if (json === undefined) return
  const record = {
    script: 'vhdx-figures',
    when: new Date().toISOString(),
    node: process.version,
    machine: cpus()[0]?.model ?? '',
    rounds,
    figures,
    garbageBytes,
  }
  const text = `${JSON.stringify(record, null, 2)}\n`
  if (json === '-') process.stdout.write(text)
  else writeFileSync(json, text)
}

function rawDisk(path: string): Disk {
  const file = createBackingFile(path, { flush: 'sync' })
  file.resize(DISK_BYTES)
  return new RawDisk(file)
}

function vhdxDisk(path: string): Disk {
  const file = createBackingFile(path, { flush: 'sync' })
  const newGuid = (): ReturnType<typeof crypto.randomUUID> => crypto.randomUUID()
  createVhdx(file, { virtualBytes: DISK_BYTES, newGuid })
  return openVhdx(file, { newGuid })
}

function fillDisk(disk: Disk): void {
  const request = slot(DiskOperation.WRITE, BUFFER_BYTES)
  for (let at = 0; at < DISK_BYTES; at += BUFFER_BYTES) submit(disk, request, at)
}

/** The best rounds of both. */
function compare(
  what: string,
  raw: Disk,
  vhdx: Disk,
  rounds: number,
  operation: DiskOperation,
  bytes: number,
  count: number,
): Figure {
  const request = slot(operation, bytes)
  const isRandom = bytes === 4096
  let rawMicros = Infinity
  let vhdxMicros = Infinity
  for (let round = 0; round < rounds; round += 1) {
    rawMicros = Math.min(rawMicros, time(raw, request, bytes, count, round, isRandom))
    vhdxMicros = Math.min(vhdxMicros, time(vhdx, request, bytes, count, round, isRandom))
  }
  return { what, rawMicros, vhdxMicros, ratio: vhdxMicros / rawMicros }
}

/** Microseconds a request. Both disks get the same places. */
function time(
  disk: Disk,
  request: DiskRequest,
  bytes: number,
  count: number,
  round: number,
  isRandom: boolean,
): number {
  const places = DISK_BYTES / bytes
  let place = (round * count) % places
  const started = performance.now()
  for (let index = 0; index < count; index += 1) {
    submit(disk, request, place * bytes)
    place = (isRandom ? Math.imul(place, 1_103_515_245) + 12_345 : place + 1) >>> 0
    place %= places
  }
  return ((performance.now() - started) * 1000) / count
}

function garbage(disk: Disk): number {
  const request = slot(DiskOperation.READ, 4096)
  const count = 100_000
  const before = process.memoryUsage().heapUsed
  for (let index = 0; index < count; index += 1) submit(disk, request, (index % 1000) * 4096)
  return Math.max(0, process.memoryUsage().heapUsed - before) / count
}

function slot(operation: DiskOperation, bytes: number): DiskRequest {
  const request = new DiskRequest(1)
  request.operation = operation
  request.blockCount = bytes / 512
  request.data.beginBytes(new Uint8Array(new SharedArrayBuffer(BUFFER_BYTES)).fill(7))
  request.data.add(0, bytes)
  return request
}

function submit(disk: Disk, request: DiskRequest, at: number): void {
  request.block = at / 512
  disk.submit(request)
  if (request.status !== DiskStatus.OK) throw new Error(`a request ended with ${request.status}`)
}
