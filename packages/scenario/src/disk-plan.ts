/**
 * Disks and DVD drives as scenarios write them, checked and turned into what management takes. Paths are relative to the scenario
 * file; a file that is neither there nor to be made is told before anything starts.
 */

import { existsSync } from 'node:fs'
import { fileURLToPath } from 'node:url'

import { DISK_MAX_BYTES, MEMORY_DISK_MAX_BYTES } from '@guestyard/management'
import type { DiskOptions } from '@guestyard/management'
import * as v from 'valibot'

import { InputError } from './input-error.ts'
import { formatBytes, parseByteSize, show } from './quantity.ts'

/** How a disk is attached, whatever it is. */
interface DiskPlace {
  /** `'scsi'` (the default): over the bus. `'ide'`: emulated, register by register. */
  readonly controller?: 'scsi' | 'ide'
  /** Number of the controller: 0 to 3 (SCSI), 0 to 1 (IDE); 0 when left out. */
  readonly number?: number
  /** Place on it: a LUN from 0 to 63, or an IDE device, 0 to 1; the first free one when left out. */
  readonly location?: number
}

/** A disk of a scenario's machine. Exactly one of `vhdx`, `vhd`, `raw`, `file` and `memory` says where its blocks are. */
export interface DiskDefinition extends DiskPlace {
  /** An image of that format, relative to the scenario file. */
  readonly vhdx?: string | URL
  readonly vhd?: string | URL
  readonly raw?: string | URL
  /** An image of any format: its bytes say which. */
  readonly file?: string | URL
  /** A disk in the host's memory, of this size. */
  readonly memory?: string | number
  /** A missing file is made of this size; a file that is there stays as it is. */
  readonly size?: string | number
  /** A file that is made has all its blocks from the start. */
  readonly fixed?: boolean
  /** A VHDX that is made holds only what differs from this file. */
  readonly parent?: string | URL
  /** Bytes of a logical block, of a raw file and of a disk that is made: 512 (the default) or 4096. */
  readonly blockBytes?: 512 | 4096
  readonly readOnly?: boolean
  /** Requests of 8 KiB in a second (a larger one counts as several), and bytes in a second. */
  readonly limits?: { readonly iops?: number; readonly bytesPerSecond?: string | number }
}

/** A DVD drive: `iso` is the disc in it, `null` none. */
export interface DvdDefinition extends DiskPlace {
  readonly iso: string | URL | null
}

const IMAGE_FIELDS = ['vhdx', 'vhd', 'raw', 'file'] as const

const sizeSchema = (most: number) =>
  v.pipe(
    v.unknown(),
    v.rawTransform<unknown, number>(({ dataset, addIssue, NEVER }) => {
      const size = parseByteSize(dataset.value)
      if (size.ok && size.value > 0 && size.value <= most) return size.value
      const written = show(dataset.value)
      addIssue({
        message: size.ok
          ? `${written} is not above 0 and at most ${formatBytes(most)}`
          : size.problem,
      })
      return NEVER
    }),
  )

const pathSchema = v.union(
  [v.pipe(v.string(), v.nonEmpty()), v.instance(URL)],
  (issue) => `expected the path of an image, got ${show(issue.input)}`,
)

const flagSchema = v.boolean((issue) => `expected true or false, got ${show(issue.input)}`)

const wholeSchema = (most: number) => {
  const message = (issue: { readonly input: unknown }): string =>
    `expected a whole number from 0 to ${most}, got ${show(issue.input)}`
  return v.pipe(
    v.number(message),
    v.integer(message),
    v.minValue(0, message),
    v.maxValue(most, message),
  )
}

const placeEntries = {
  controller: v.optional(
    v.picklist(['scsi', 'ide'], (issue) => `expected 'scsi' or 'ide', got ${show(issue.input)}`),
  ),
  number: v.optional(wholeSchema(3)),
  location: v.optional(wholeSchema(63)),
}

const limitsSchema = v.strictObject(
  {
    iops: v.optional(
      v.pipe(
        v.number((issue) => `expected a number of requests, got ${show(issue.input)}`),
        v.integer((issue) => `expected a whole number, got ${show(issue.input)}`),
        v.minValue(1, (issue) => `expected 1 or more, got ${show(issue.input)}`),
        v.maxValue(1e9, (issue) => `expected at most a billion, got ${show(issue.input)}`),
      ),
    ),
    bytesPerSecond: v.optional(sizeSchema(2 ** 50)),
  },
  'expected an object with iops, bytesPerSecond',
)

const diskSchema = v.strictObject(
  {
    vhdx: v.optional(pathSchema),
    vhd: v.optional(pathSchema),
    raw: v.optional(pathSchema),
    file: v.optional(pathSchema),
    memory: v.optional(sizeSchema(MEMORY_DISK_MAX_BYTES)),
    size: v.optional(sizeSchema(DISK_MAX_BYTES)),
    fixed: v.optional(flagSchema),
    parent: v.optional(pathSchema),
    blockBytes: v.optional(
      v.picklist([512, 4096], (issue) => `expected 512 or 4096, got ${show(issue.input)}`),
    ),
    readOnly: v.optional(flagSchema),
    limits: v.optional(limitsSchema),
    ...placeEntries,
  },
  'expected an object with vhdx, vhd, raw, file or memory',
)

const disksSchema = v.array(diskSchema, 'expected a list of disks')

const dvdObjectSchema = v.strictObject(
  { iso: v.nullable(pathSchema), ...placeEntries },
  'expected an object with iso, controller, number, location',
)

const dvdSchema = v.union(
  [v.null(), v.pipe(v.string(), v.nonEmpty()), v.instance(URL), dvdObjectSchema],
  (issue) =>
    `expected the path of an ISO image, null, or an object with iso, got ${show(issue.input)}`,
)

type DiskInput = v.InferOutput<typeof diskSchema>
type DvdInput = v.InferOutput<typeof dvdSchema>

/** What `vms.NAME.disks` and `dvd` come to. `where` stands before the field in errors: `x.ts: vms.db`. */
export function planDisks(
  disks: unknown,
  dvd: unknown,
  base: string,
  where: string,
): readonly DiskOptions[] {
  const list = checked(disksSchema, disks, `${where}.disks`)
  const planned = list.map((disk, index) => planDisk(disk, base, `${where}.disks.${index}`))
  if (dvd === undefined) return planned
  return [...planned, planDvd(checked(dvdSchema, dvd, `${where}.dvd`), base, `${where}.dvd`)]
}

/** One disk or DVD drive, for a machine that runs already. Throws an `InputError` whose field is under `where`. */
export function planOneDisk(disk: unknown, base: string, where: string): DiskOptions {
  if (typeof disk === 'object' && disk !== null && 'iso' in disk) {
    return planDvd(checked(dvdObjectSchema, disk, where), base, where)
  }
  return planDisk(checked(diskSchema, disk, where), base, where)
}

/** A disc for a DVD drive. Throws an `InputError` when there is no such file. */
export function imageOfDisc(iso: unknown, base: string, where: string): URL {
  return imageUrl(checked(pathSchema, iso, where), base, where, true)
}

function checked<T>(schema: v.GenericSchema<unknown, T>, input: unknown, where: string): T {
  const parsed = v.safeParse(schema, input, { abortEarly: true })
  if (parsed.success) return parsed.output
  const [issue] = parsed.issues
  const path = v.getDotPath(issue)
  const field = path === null ? where : `${where}.${path}`
  if (issue.type === 'strict_object' && issue.expected === 'never') {
    throw new InputError(field, `unknown field (known: ${knownFields(schema, path ?? '')})`)
  }
  throw new InputError(field, issue.message)
}

function knownFields(schema: unknown, path: string): string {
  const whole = schema === dvdObjectSchema ? dvdObjectSchema : diskSchema
  const known = path.includes('limits.') ? limitsSchema : whole
  return Object.keys(known.entries).join(', ')
}

function planDisk(disk: DiskInput, base: string, where: string): DiskOptions {
  const named = IMAGE_FIELDS.filter((field) => disk[field] !== undefined)
  if (named.length + (disk.memory === undefined ? 0 : 1) !== 1) {
    throw new InputError(where, 'expected exactly one of vhdx, vhd, raw, file, memory')
  }
  const { memory, size, fixed, parent, blockBytes = 512 } = disk
  for (const [field, bytes] of [
    ['size', size],
    ['memory', memory],
  ] as const) {
    if (bytes === undefined || bytes % blockBytes === 0) continue
    throw new InputError(`${where}.${field}`, `${bytes} bytes are no whole blocks of ${blockBytes}`)
  }
  const placed = {
    ...placeOf(disk),
    ...(disk.readOnly === undefined ? {} : { readOnly: disk.readOnly }),
    ...(disk.limits === undefined ? {} : { limits: limitsOf(disk.limits) }),
  }
  const [field] = named
  if (field === undefined) {
    if (size !== undefined || fixed !== undefined || parent !== undefined) {
      throw new InputError(where, 'size, fixed and parent are about files, not about memory')
    }
    return { ...placed, blockBytes, memoryBytes: memory! }
  }
  const made = size !== undefined || parent !== undefined
  const file = imageUrl(disk[field]!, base, `${where}.${field}`, !made)
  if (parent !== undefined) {
    if (size !== undefined || fixed === true || field === 'vhd' || field === 'raw') {
      throw new InputError(`${where}.parent`, 'its child is a VHDX, of its size, and never fixed')
    }
    const parentFile = imageUrl(parent, base, `${where}.parent`, true)
    return { ...placed, file, parent: parentFile, format: 'vhdx' }
  }
  return {
    ...placed,
    file,
    blockBytes,
    ...(field === 'file' ? {} : { format: field }),
    ...(size === undefined ? {} : { sizeBytes: size }),
    ...(fixed === undefined ? {} : { fixed }),
  }
}

function planDvd(dvd: DvdInput, base: string, where: string): DiskOptions {
  const definition =
    dvd === null || typeof dvd === 'string' || dvd instanceof URL ? { iso: dvd } : dvd
  const { iso } = definition
  return {
    ...placeOf(definition),
    device: 'dvd',
    ...(iso === null ? {} : { file: imageUrl(iso, base, where, true), format: 'raw' as const }),
  }
}

interface PlaceInput {
  readonly controller?: 'scsi' | 'ide' | undefined
  readonly number?: number | undefined
  readonly location?: number | undefined
}

function placeOf(disk: PlaceInput): DiskOptions {
  return {
    ...(disk.controller === undefined ? {} : { controllerType: disk.controller }),
    ...(disk.number === undefined ? {} : { controllerNumber: disk.number }),
    ...(disk.location === undefined ? {} : { controllerLocation: disk.location }),
  }
}

function limitsOf(limits: v.InferOutput<typeof limitsSchema>): NonNullable<DiskOptions['limits']> {
  return {
    ...(limits.iops === undefined ? {} : { iops: limits.iops }),
    ...(limits.bytesPerSecond === undefined ? {} : { bytesPerSecond: limits.bytesPerSecond }),
  }
}

function imageUrl(path: string | URL, base: string, where: string, mustExist: boolean): URL {
  const url = new URL(path, base)
  if (url.protocol !== 'file:') throw new InputError(where, `expected a file, got ${url.protocol}`)
  if (mustExist && !existsSync(url)) {
    throw new InputError(where, `no file ${fileURLToPath(url)} (with a size it would be made)`)
  }
  return url
}
