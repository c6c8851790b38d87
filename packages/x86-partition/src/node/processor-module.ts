import { readFileSync } from 'node:fs'

/** The processor package's module: about 2 MiB. */
export function readProcessorModule(): Uint8Array {
  const library = import.meta.resolve('v86')
  return readFileSync(new URL('v86.wasm', library))
}
