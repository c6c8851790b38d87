// What the processor package's own PC has plugged in, in a machine of generation 1: its IDE disk. As the package wants to be given it.

/** The primary master's bytes. Called on the machine's thread; answers at once, or later from the thread's event loop. */
export interface IdeImage {
  /** A multiple of 512. */
  readonly bytes: number
  read(at: number, length: number, done: (bytes: Uint8Array) => void): void
  /** `bytes` are the caller's again once it is done. */
  write(at: number, bytes: Uint8Array, done: () => void): void
}

export interface PcBoard {
  readonly disk: IdeImage | null
}

/** Options of the processor package. */
export function boardSettings(board: PcBoard | null): Record<string, unknown> {
  const disk = board?.disk ?? null
  return {
    net_device: { type: 'none' },
    ...(disk === null ? {} : { hda: new ImageBuffer(disk) }),
  }
}

/** An image as a "buffer" of the processor package: the methods are those that it calls. */
class ImageBuffer {
  readonly byteLength: number
  /** Set by the package, and called when the image can be used. */
  onload: ((loaded: object) => void) | null = null
  readonly #image: IdeImage

  constructor(image: IdeImage) {
    this.#image = image
    this.byteLength = image.bytes
  }

  load(): void {
    this.onload?.({})
  }

  get(at: number, length: number, done: (bytes: Uint8Array) => void): void {
    this.#image.read(at, length, done)
  }

  /** For the partition table alone, which would tell it a geometry from before LBA: it makes up its own. */
  get_and_cache(_at: number, _length: number, done: (bytes: Uint8Array) => void): void {
    done(new Uint8Array())
  }

  get_from_cache(_at: number, _length: number): null {
    return null
  }

  set(at: number, bytes: Uint8Array, done: () => void): void {
    this.#image.write(at, bytes, done)
  }
}
