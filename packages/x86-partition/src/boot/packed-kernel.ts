// The kernel inside a bzImage (Linux, Documentation/x86/boot.rst: payload_offset, payload_length): an ELF file, compressed, behind code that
// unpacks it. On an emulated processor that code is a third of a boot; whoever has the host unpack it saves every later boot the time.

import { BootError } from './boot-error.ts'
import { parseKernel } from './linux-boot.ts'

export interface PackedKernel {
  /** How it is packed. */
  readonly form: '.xz' | '.gz'
  /** Where in the bzImage it lies: from here … */
  readonly start: number
  /** … to here, exclusive. */
  readonly end: number
  /** What it unpacks to, as it says itself. */
  readonly bytes: number
}

const PAYLOAD_OFFSET = 0x248
const PAYLOAD_BYTES = 0x24c
/** Little-endian, behind the payload. In gzip it is a part of the format. */
const SIZE_BYTES = 4

const FORMS = [
  { form: '.xz', magic: [0xfd, 0x37, 0x7a, 0x58, 0x5a, 0x00], isSizeOwn: false },
  { form: '.gz', magic: [0x1f, 0x8b, 0x08], isSizeOwn: true },
] as const

/** Null for one that is packed in another way. Throws a BootError for what is no bzImage, or says that its payload lies outside of it. */
export function packedKernel(file: Uint8Array): PackedKernel | null {
  const { code } = parseKernel(file)
  const view = new DataView(file.buffer, file.byteOffset, file.length)
  const offset = view.getUint32(PAYLOAD_OFFSET, true)
  const length = view.getUint32(PAYLOAD_BYTES, true)
  if (offset > code.length || length > code.length - offset) {
    throw new BootError('kernel: its payload lies outside of the file')
  }
  const start = file.length - code.length + offset
  const found = FORMS.find(({ magic }) => magic.every((byte, at) => file[start + at] === byte))
  if (found === undefined || length <= found.magic.length + SIZE_BYTES) return null
  const end = start + length
  return {
    form: found.form,
    start,
    end: found.isSizeOwn ? end : end - SIZE_BYTES,
    bytes: view.getUint32(end - SIZE_BYTES, true),
  }
}
