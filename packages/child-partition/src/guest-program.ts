import type { GuestProgram } from './api/guest.ts'

/** The program in a loaded module. Throws what to tell its author when there is none. */
export function programOf(url: string, module: unknown): GuestProgram {
  const main: unknown = Reflect.get(Object(module), 'main')
  if (typeof main !== 'function') throw new Error(`${url} exports no function "main"`)
  return module as GuestProgram
}
