// The disks of a VM, from what callers write to plain data with a place for each.

import { resolve } from 'node:path'
import { fileURLToPath } from 'node:url'

import {
  IDE_CONTROLLERS_MAX,
  IDE_LOCATIONS_MAX,
  SCSI_CONTROLLERS_MAX,
  SCSI_LOCATIONS_MAX,
  describeAddress,
  type ControllerType,
  type DiskAddress,
  type DiskLimits,
  type DiskSource,
  type DiskSpec,
} from '@guestyard/root-partition/worker-protocol'

/** A disk or a DVD drive as callers write it. `file`, `memoryBytes` or, for an empty DVD drive, neither. */
export interface DiskOptions {
  /** The image: a path or a `file:` URL. */
  readonly file?: string | URL
  /** What the file is, and is made as; left out: what its bytes say. */
  readonly format?: 'vhdx' | 'vhd' | 'raw'
  /** The file is made of this size when it is missing: a multiple of `blockBytes`. */
  readonly sizeBytes?: number
  /** A file that is made has all its blocks from the start; default false. */
  readonly fixed?: boolean
  /** A file that is made holds only what differs from this one. VHDX alone. */
  readonly parent?: string | URL
  /** A disk in the host's memory, gone when the VM ends. */
  readonly memoryBytes?: number
  /** Logical blocks of a raw file, and of a disk that is made: 512, the default, or 4096. */
  readonly blockBytes?: 512 | 4096
  /** Default `disk`. */
  readonly device?: 'disk' | 'dvd'
  /** Default `scsi`. */
  readonly controllerType?: ControllerType
  /** 0..3 (SCSI), 0..1 (IDE); default 0. */
  readonly controllerNumber?: number
  /** 0..63 (SCSI), 0..1 (IDE); the first that is free when left out. */
  readonly controllerLocation?: number
  /** Default false; a DVD is read-only. */
  readonly readOnly?: boolean
  /** Requests of 8 KiB a second, larger ones counting as several, and bytes a second; no limit when left out. */
  readonly limits?: { readonly iops?: number; readonly bytesPerSecond?: number }
}

const FORMATS: ReadonlySet<unknown> = new Set(['vhdx', 'vhd', 'raw'])
const CONTROLLERS_MAX: Readonly<Record<ControllerType, number>> = {
  scsi: SCSI_CONTROLLERS_MAX,
  ide: IDE_CONTROLLERS_MAX,
}
const LOCATIONS_MAX: Readonly<Record<ControllerType, number>> = {
  scsi: SCSI_LOCATIONS_MAX,
  ide: IDE_LOCATIONS_MAX,
}
/** VHDX ends there. */
export const DISK_MAX_BYTES: number = 64 * 2 ** 40
/** A memory disk is one memory of the host. */
export const MEMORY_DISK_MAX_BYTES: number = 2 ** 32 - 65_536

/** Checks disks and gives each its place. `field` names them in errors: `VM "a": disks`. Throws a `RangeError` of one line. */
export function diskSpecs(disks: readonly DiskOptions[], field: string): readonly DiskSpec[] {
  const specs: DiskSpec[] = []
  const used = new Set<string>()
  disks.forEach((disk, index) => {
    const where = `${field}[${index}]`
    const address = addressOf(disk, used, where)
    used.add(describeAddress(address))
    specs.push({ ...address, ...contentOf(disk, where) })
  })
  return specs
}

/** The places that a running VM has disks at, for disks that come and go. Two that come at once get two places. */
export class DiskPlaces {
  readonly #vm: string
  #taken: DiskAddress[] = []

  /** `vm`: its name, for errors. */
  constructor(vm: string) {
    this.#vm = vm
  }

  /** A run begins, with these. */
  begin(disks: readonly DiskAddress[]): void {
    this.#taken = [...disks]
  }

  /** Checks a disk for the running VM and takes a place for it. Throws a `RangeError` of one line. */
  take(options: DiskOptions): DiskSpec {
    const field = `VM "${this.#vm}": disk`
    const used = new Set(this.#taken.map((address) => describeAddress(address)))
    const spec = { ...addressOf(options, used, field), ...contentOf(options, field) }
    if (spec.controllerType === 'ide') {
      throw new RangeError(`${field}: an IDE controller takes none while the VM runs`)
    }
    this.#taken.push(spec)
    return spec
  }

  /** Nothing is there any more, or never was. */
  leave(address: DiskAddress): void {
    const place = describeAddress(address)
    this.#taken = this.#taken.filter((other) => describeAddress(other) !== place)
  }
}

/** An ISO image as what is put into a DVD drive. Throws a `RangeError` of one line. */
export function discOf(iso: string | URL, where: string): DiskSource {
  return { is: 'file', path: pathOf(iso, where), format: 'raw', create: null, blockBytes: 512 }
}

/** Checks what a disk is to become. Throws a `RangeError` of one line. */
export function checkDiskSize(sizeBytes: number, where: string): void {
  checkSize(sizeBytes, DISK_MAX_BYTES, 512, where)
}

function addressOf(disk: DiskOptions, used: ReadonlySet<string>, where: string): DiskAddress {
  const { controllerType = 'scsi', controllerNumber = 0 } = disk
  if (controllerType !== 'scsi' && controllerType !== 'ide') {
    throw new RangeError(`${where}.controllerType: ${show(controllerType)} is neither scsi nor ide`)
  }
  checkWhole(controllerNumber, 0, CONTROLLERS_MAX[controllerType] - 1, `${where}.controllerNumber`)
  const most = LOCATIONS_MAX[controllerType]
  if (disk.controllerLocation !== undefined) {
    const { controllerLocation } = disk
    checkWhole(controllerLocation, 0, most - 1, `${where}.controllerLocation`)
    const address = { controllerType, controllerNumber, controllerLocation }
    if (!used.has(describeAddress(address))) return address
    throw new RangeError(`${where}: ${describeAddress(address)} is taken already`)
  }
  for (let controllerLocation = 0; controllerLocation < most; controllerLocation += 1) {
    const address = { controllerType, controllerNumber, controllerLocation }
    if (!used.has(describeAddress(address))) return address
  }
  throw new RangeError(
    `${where}: ${controllerType} ${controllerNumber} has no place left (${most})`,
  )
}

function contentOf(
  disk: DiskOptions,
  where: string,
): Pick<DiskSpec, 'device' | 'source' | 'readOnly' | 'limits'> {
  const { device = 'disk' } = disk
  const source = sourceOf(disk, where)
  if (device !== 'disk' && device !== 'dvd') {
    throw new RangeError(`${where}.device: ${show(device)} is neither disk nor dvd`)
  }
  if (source === null && device === 'disk') {
    throw new RangeError(`${where}: names neither a file nor memoryBytes`)
  }
  return {
    device,
    source,
    readOnly: device === 'dvd' || (disk.readOnly ?? false),
    limits: limitsOf(disk, where),
  }
}

function sourceOf(disk: DiskOptions, where: string): DiskSource | null {
  const { file, memoryBytes, blockBytes = 512 } = disk
  if (blockBytes !== 512 && blockBytes !== 4096) {
    throw new RangeError(`${where}.blockBytes: ${show(blockBytes)} is neither 512 nor 4096`)
  }
  if (memoryBytes !== undefined) {
    if (file !== undefined) throw new RangeError(`${where}: names both a file and memoryBytes`)
    checkSize(memoryBytes, MEMORY_DISK_MAX_BYTES, blockBytes, `${where}.memoryBytes`)
    return { is: 'memory', sizeBytes: memoryBytes, blockBytes }
  }
  if (file === undefined) return null
  const path = pathOf(file, `${where}.file`)
  const { sizeBytes, fixed = false, parent, format = null } = disk
  if (format !== null && !FORMATS.has(format)) {
    throw new RangeError(`${where}.format: ${show(format)} is none of vhdx, vhd and raw`)
  }
  if (disk.device === 'dvd' && (sizeBytes !== undefined || parent !== undefined)) {
    throw new RangeError(`${where}: the disc of a DVD drive is not made`)
  }
  if (parent !== undefined) {
    if (sizeBytes !== undefined || fixed || (format !== null && format !== 'vhdx')) {
      throw new RangeError(`${where}.parent: its child is a VHDX, of its size, and never fixed`)
    }
    const create = { parentPath: pathOf(parent, `${where}.parent`) }
    return { is: 'file', path, format: 'vhdx', create, blockBytes }
  }
  if (sizeBytes === undefined) return { is: 'file', path, format, create: null, blockBytes }
  checkSize(sizeBytes, DISK_MAX_BYTES, blockBytes, `${where}.sizeBytes`)
  const create = { format: format ?? 'vhdx', sizeBytes, fixed }
  return { is: 'file', path, format, create, blockBytes }
}

function limitsOf(disk: DiskOptions, where: string): DiskLimits | null {
  const { iops = null, bytesPerSecond = null } = disk.limits ?? {}
  if (iops !== null) checkWhole(iops, 1, 1e9, `${where}.limits.iops`)
  if (bytesPerSecond !== null) {
    checkWhole(bytesPerSecond, 1, Number.MAX_SAFE_INTEGER, `${where}.limits.bytesPerSecond`)
  }
  return iops === null && bytesPerSecond === null ? null : { iops, bytesPerSecond }
}

function pathOf(file: unknown, where: string): string {
  const isUrl = file instanceof URL || (typeof file === 'string' && file.startsWith('file:'))
  if (!isUrl && (typeof file !== 'string' || file === '')) {
    throw new RangeError(`${where}: ${show(file)} is neither a path nor a file: URL`)
  }
  if (!isUrl) return resolve(file)
  try {
    return fileURLToPath(file)
  } catch {
    throw new RangeError(`${where}: ${String(file)} is no file: URL of this host`)
  }
}

function checkSize(bytes: number, most: number, blockBytes: number, where: string): void {
  checkWhole(bytes, blockBytes, most, where)
  if (bytes % blockBytes === 0) return
  throw new RangeError(`${where}: ${bytes} is not a multiple of ${blockBytes}`)
}

function checkWhole(value: number, min: number, max: number, where: string): void {
  if (Number.isInteger(value) && value >= min && value <= max) return
  throw new RangeError(`${where}: ${show(value)} is not a whole number from ${min} to ${max}`)
}

function show(value: unknown): string {
  return typeof value === 'string' ? JSON.stringify(value) : String(value)
}
