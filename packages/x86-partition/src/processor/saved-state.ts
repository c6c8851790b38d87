// The processor package's own saved state, without RAM: whoever saves the machine saves that, and pages that are zero are not in it.

import type { TimedV86 } from './timed-v86.ts'

/** What is used of the package's inner object. */
interface InnerV86 {
  readonly cpu: InnerCpu
  save_state(): ArrayBuffer
  restore_state(state: ArrayBuffer): void
}

interface InnerCpu {
  pack_memory(): unknown
  unpack_memory(): void
  readonly devices: { readonly pci: { set_state(state: unknown): void } }
}

const NO_PAGES = {
  packed_memory: new Uint8Array(0),
  bitmap: { get_buffer: (): ArrayBuffer => new ArrayBuffer(0) },
}

/** Between slices. */
export function saveProcessor(v86: TimedV86): Uint8Array<ArrayBuffer> {
  const inner = withoutRam(v86)
  return new Uint8Array(inner.save_state())
}

/** False, and the processor is not to be used, for what the package does not take. */
export function restoreProcessor(v86: TimedV86, state: Uint8Array): boolean {
  const inner = withoutRam(v86)
  try {
    // A copy: the package reads words from its start.
    inner.restore_state(Uint8Array.from(state).buffer)
    return true
  } catch {
    // Its errors are of many kinds, and none says more than that.
    return false
  }
}

function withoutRam(v86: TimedV86): InnerV86 {
  const inner = v86.v86 as InnerV86
  inner.cpu.pack_memory = () => NO_PAGES
  inner.cpu.unpack_memory = () => {}
  // The guest has no way to its PCI, and the package can't restore it where a slot is empty.
  inner.cpu.devices.pci.set_state = () => {}
  return inner
}
