// The SLAT as a device outside the root sees it, in the worker process that emulates it: pages of RAM with their rights, and no overlay.
// There is no domain to map into: such a device may reach all of its guest's RAM, as a PCI device without an IOMMU does.

import { SLAT_CHUNKS, SLAT_CHUNK_PAGES } from './slat-layout.ts'
import { SlatOverlays } from './slat-overlays.ts'
import { SlatReader } from './slat-reader.ts'

/** Any thread that was handed `Slat.buffer`; each makes its own. */
export class SlatDeviceReader {
  readonly #reader: SlatReader
  readonly #overlays: SlatOverlays

  constructor(buffer: SharedArrayBuffer) {
    // Of a stated length: the guest's threads hold the buffer, and may grow it.
    const words = new Int32Array(buffer, 0, buffer.byteLength >> 2)
    this.#reader = new SlatReader(buffer)
    this.#overlays = new SlatOverlays(words, Atomics.load(words, SLAT_CHUNKS) * SLAT_CHUNK_PAGES)
  }

  /**
   * Page of RAM at a GPA page that a device may reach with all of `rights`, or -1. Any number may be asked. The buffer is the guest's
   * too: whoever uses the answer asks the memory whether there is such a page.
   */
  ramPage(gpaPage: number, rights: number): number {
    this.#overlays.sample()
    if (this.#overlays.isCovered(gpaPage)) return -1
    return this.#reader.ramPage(gpaPage, rights)
  }
}
