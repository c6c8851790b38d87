// What a file holds after the work of guests/file-writer.ts, for the guest and for whoever checks it.

/** A run of file system blocks. */
export interface Extent {
  readonly block: number
  readonly count: number
}

export interface FileWork {
  readonly fsBlockBytes: number
  readonly files: readonly { readonly seed: number; readonly extents: readonly Extent[] }[]
  readonly free: readonly Extent[]
}

/** The bytes of a file from `offset` on, a multiple of 4. */
export function contentOf(seed: number, offset: number, into: Uint8Array): void {
  const view = new DataView(into.buffer, into.byteOffset, into.length)
  for (let at = 0; at + 4 <= into.length; at += 4) {
    view.setUint32(at, Math.imul((offset + at) ^ seed, 0x9e37_79b1) >>> 0, true)
  }
}
