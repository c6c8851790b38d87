// Archives in cpio's "newc" form, as Linux unpacks them into its first file system (Linux,
// Documentation/driver-api/early-userspace/buffer-format.rst).

export type CpioEntry =
  | { readonly is: 'directory'; readonly path: string }
  | {
      readonly is: 'file'
      readonly path: string
      readonly bytes: Uint8Array
      readonly isExecutable: boolean
    }
  | { readonly is: 'link'; readonly path: string; readonly to: string }
  | {
      readonly is: 'character-device'
      readonly path: string
      readonly major: number
      readonly minor: number
    }

const MAGIC = '070701'
const TRAILER = 'TRAILER!!!'
const Mode = {
  FILE: 0o100644,
  EXECUTABLE: 0o100755,
  DIRECTORY: 0o040755,
  LINK: 0o120777,
  CHARACTER_DEVICE: 0o020600,
} as const

/** Entries in their order; a directory comes before what is in it. Paths are relative. Throws a RangeError for one that is not. */
export function cpioArchive(entries: readonly CpioEntry[]): Uint8Array<ArrayBuffer> {
  const parts: Uint8Array[] = []
  let length = 0
  const put = (bytes: Uint8Array): void => {
    parts.push(bytes)
    length += bytes.length
  }
  const pad = (): void => {
    const odd = length % 4
    if (odd !== 0) put(new Uint8Array(4 - odd))
  }
  const putEntry = (
    inode: number,
    path: string,
    mode: number,
    data: Uint8Array,
    device: Device,
  ): void => {
    const name = new TextEncoder().encode(`${path}\0`)
    put(header(inode, mode, data.length, name.length, device))
    put(name)
    pad()
    put(data)
    pad()
  }
  entries.forEach((entry, index) => {
    if (entry.path === '' || entry.path.startsWith('/') || entry.path.includes('\0')) {
      throw new RangeError(`${JSON.stringify(entry.path)} is no relative path`)
    }
    putEntry(index + 1, entry.path, modeOf(entry), dataOf(entry), deviceOf(entry))
  })
  putEntry(0, TRAILER, 0, new Uint8Array(0), NO_DEVICE)
  const archive = new Uint8Array(length)
  let at = 0
  for (const part of parts) {
    archive.set(part, at)
    at += part.length
  }
  return archive
}

interface Device {
  readonly major: number
  readonly minor: number
}

const NO_DEVICE: Device = { major: 0, minor: 0 }

function header(
  inode: number,
  mode: number,
  dataBytes: number,
  nameBytes: number,
  device: Device,
): Uint8Array {
  const links = (mode & 0o170000) === (Mode.DIRECTORY & 0o170000) ? 2 : 1
  // inode, mode, uid, gid, links, time, size, device of the archive (2), device of the entry (2), name's size, checksum.
  const fields = [
    ...[inode, mode, 0, 0, links, 0, dataBytes, 0, 0],
    ...[device.major, device.minor, nameBytes, 0],
  ]
  const text = fields.map((field) => field.toString(16).padStart(8, '0')).join('')
  return new TextEncoder().encode(MAGIC + text)
}

function modeOf(entry: CpioEntry): number {
  switch (entry.is) {
    case 'directory':
      return Mode.DIRECTORY
    case 'file':
      return entry.isExecutable ? Mode.EXECUTABLE : Mode.FILE
    case 'link':
      return Mode.LINK
    case 'character-device':
      return Mode.CHARACTER_DEVICE
  }
}

function dataOf(entry: CpioEntry): Uint8Array {
  if (entry.is === 'file') return entry.bytes
  if (entry.is === 'link') return new TextEncoder().encode(entry.to)
  return new Uint8Array(0)
}

function deviceOf(entry: CpioEntry): Device {
  return entry.is === 'character-device' ? entry : NO_DEVICE
}
