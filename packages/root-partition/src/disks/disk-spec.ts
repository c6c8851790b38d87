// A partition's disk as plain data: what management asks the root, or a VM's worker process, to put behind which controller.

export type ControllerType = 'scsi' | 'ide'

/** Controllers of a kind, and places on each, as Hyper-V has them. */
export const SCSI_CONTROLLERS_MAX = 4
export const SCSI_LOCATIONS_MAX = 64
export const IDE_CONTROLLERS_MAX = 2
export const IDE_LOCATIONS_MAX = 2

/** What to make when there is no such file yet. */
export type NewImage =
  | {
      readonly format: 'vhdx' | 'vhd' | 'raw'
      readonly sizeBytes: number
      /** Every block has its place from the start. */
      readonly fixed: boolean
    }
  /** A differencing VHDX: what is not written is read from this file. */
  | { readonly parentPath: string }

export type DiskSource =
  | {
      readonly is: 'file'
      /** Absolute. */
      readonly path: string
      /** What it must be; `null`: what its bytes say it is. A raw file is taken as raw whatever is in it. */
      readonly format: 'vhdx' | 'vhd' | 'raw' | null
      /** Logical blocks of a raw file, which doesn't say, and of an image that is made. */
      readonly blockBytes: 512 | 4096
      /** `null`: a missing file is an error. */
      readonly create: NewImage | null
    }
  /** Memory of the host: gone when the disk is. */
  | {
      readonly is: 'memory'
      readonly sizeBytes: number
      readonly blockBytes: 512 | 4096
      /** Like no other. The bytes are kept under it for a later disk, until the control port closes over which this one came. */
      readonly key?: string
    }

/** Most of a disk's work in a second; `null`: no limit. */
export interface DiskLimits {
  /** Requests of 8 KiB; a larger one counts as several. */
  readonly iops: number | null
  readonly bytesPerSecond: number | null
}

/** Where a disk is: controller type, number of the controller, place on it (a LUN, or an IDE device). */
export interface DiskAddress {
  readonly controllerType: ControllerType
  readonly controllerNumber: number
  readonly controllerLocation: number
}

export interface DiskSpec extends DiskAddress {
  readonly device: 'disk' | 'dvd'
  /** `null`: a DVD drive without a disc. */
  readonly source: DiskSource | null
  readonly readOnly: boolean
  readonly limits: DiskLimits | null
}

/** For people: `scsi 0:3`. */
export function describeAddress(address: DiskAddress): string {
  const { controllerType, controllerNumber, controllerLocation } = address
  return `${controllerType} ${controllerNumber}:${controllerLocation}`
}
