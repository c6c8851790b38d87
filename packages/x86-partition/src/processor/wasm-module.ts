// A WebAssembly module taken apart so far that imports, exports and bodies can be changed, and put together again.

import {
  SectionId,
  WasmReader,
  concatBytes,
  nameBytes,
  readSections,
  uleb,
  writeSections,
} from './wasm-bytes.ts'
import type { Section } from './wasm-bytes.ts'

const ExternalKind = { FUNCTION: 0, TABLE: 1, MEMORY: 2, GLOBAL: 3 } as const
/** Limits with a maximum, of a shared memory. */
const LIMITS_SHARED = 3

export interface WasmFunctionBody {
  /** Declarations of locals, as they stand. */
  readonly locals: Uint8Array
  /** Instructions, the final `end` included. */
  readonly code: Uint8Array
}

/** Throws RangeErrors for what is no module, or one with parts that the core specification does not know. */
export class WasmModuleParts {
  readonly #sections: Section[]
  /** Functions that are imported, by `module.name`: their indices. */
  readonly importedFunctions: ReadonlyMap<string, number>
  /** Exported functions: their indices, by name. */
  readonly exportedFunctions: ReadonlyMap<string, number>
  /** Pages that the module's own memory begins with. */
  readonly memoryPages: number
  readonly #importCount: number
  readonly #bodies: Uint8Array[]
  readonly #added: [string, number][] = []

  constructor(bytes: Uint8Array) {
    this.#sections = readSections(bytes)
    const imports = readImports(this.#section(SectionId.IMPORT))
    this.importedFunctions = imports
    this.#importCount = imports.size
    this.exportedFunctions = readExports(this.#section(SectionId.EXPORT))
    this.memoryPages = readOwnMemory(this.#section(SectionId.MEMORY))
    this.#bodies = readBodies(this.#section(SectionId.CODE))
  }

  /** Index of the one function whose name in the name section ends so; undefined when there is none, or more. */
  functionNamed(ending: string): number | undefined {
    const found = readFunctionNames(this.#sections).filter(([, name]) => name.endsWith(ending))
    return found.length === 1 ? found[0]![0] : undefined
  }

  /** Body of a function of the module's own, by its index. */
  body(index: number): WasmFunctionBody {
    const bytes = this.#bodies[index - this.#importCount]
    if (bytes === undefined) throw new RangeError(`function ${index} is not the module's own`)
    const reader = new WasmReader(bytes, 0, bytes.length)
    const groups = reader.u32()
    for (let group = 0; group < groups; group += 1) {
      reader.u32()
      reader.byte()
    }
    return { locals: bytes.subarray(0, reader.at), code: bytes.subarray(reader.at) }
  }

  replaceBody(index: number, body: WasmFunctionBody): void {
    this.#bodies[index - this.#importCount] = concatBytes([body.locals, body.code])
  }

  addExport(name: string, index: number): void {
    this.#added.push([name, index])
  }

  /** The module, its memory imported as `module.name`, shared, instead of its own. */
  assemble(memory: {
    readonly module: string
    readonly name: string
    readonly maximumPages: number
  }): Uint8Array<ArrayBuffer> {
    const imported = [
      ...nameBytes(memory.module),
      ...nameBytes(memory.name),
      ExternalKind.MEMORY,
      LIMITS_SHARED,
      ...uleb(this.memoryPages),
      ...uleb(memory.maximumPages),
    ]
    const exported = this.#added.map(([name, index]) => [
      ...nameBytes(name),
      ExternalKind.FUNCTION,
      ...uleb(index),
    ])
    const sections = this.#sections
      .filter(({ id }) => id !== SectionId.MEMORY)
      .map((section): Section => {
        if (section.id === SectionId.IMPORT) return withEntries(section, [imported])
        if (section.id === SectionId.EXPORT) return withEntries(section, exported)
        if (section.id === SectionId.CODE) return { id: section.id, payload: this.#code() }
        return section
      })
    return writeSections(sections)
  }

  #code(): Uint8Array {
    const parts = this.#bodies.flatMap((body) => [Uint8Array.from(uleb(body.length)), body])
    return concatBytes([Uint8Array.from(uleb(this.#bodies.length)), ...parts])
  }

  #section(id: number): Uint8Array {
    const found = this.#sections.find((section) => section.id === id)
    if (found === undefined) throw new RangeError(`the module has no section ${id}`)
    return found.payload
  }
}

/** A vector with entries more at its end. */
function withEntries(section: Section, entries: readonly (readonly number[])[]): Section {
  const reader = new WasmReader(section.payload, 0, section.payload.length)
  const count = reader.u32() + entries.length
  const rest = section.payload.subarray(reader.at)
  return {
    id: section.id,
    payload: concatBytes([
      Uint8Array.from(uleb(count)),
      rest,
      ...entries.map((entry) => Uint8Array.from(entry)),
    ]),
  }
}

function readImports(payload: Uint8Array): Map<string, number> {
  const reader = new WasmReader(payload, 0, payload.length)
  const functions = new Map<string, number>()
  for (let left = reader.u32(); left > 0; left -= 1) {
    const name = `${reader.name()}.${reader.name()}`
    const kind = reader.byte()
    if (kind === ExternalKind.FUNCTION) {
      reader.u32()
      functions.set(name, functions.size)
    } else if (kind === ExternalKind.TABLE) {
      reader.byte()
      skipLimits(reader)
    } else {
      throw new RangeError(`the module imports "${name}", which is neither function nor table`)
    }
  }
  return functions
}

function readExports(payload: Uint8Array): Map<string, number> {
  const reader = new WasmReader(payload, 0, payload.length)
  const functions = new Map<string, number>()
  for (let left = reader.u32(); left > 0; left -= 1) {
    const name = reader.name()
    const kind = reader.byte()
    const index = reader.u32()
    if (kind === ExternalKind.FUNCTION) functions.set(name, index)
  }
  return functions
}

/** Initial pages of the one memory that the module has, private and without a maximum. */
function readOwnMemory(payload: Uint8Array): number {
  const reader = new WasmReader(payload, 0, payload.length)
  if (reader.u32() !== 1 || reader.byte() !== 0) {
    throw new RangeError('the module has not one plain memory')
  }
  return reader.u32()
}

function readBodies(payload: Uint8Array): Uint8Array[] {
  const reader = new WasmReader(payload, 0, payload.length)
  const count = reader.u32()
  return Array.from({ length: count }, () => reader.take(reader.u32()))
}

const NAMES_OF_FUNCTIONS = 1

function readFunctionNames(sections: readonly Section[]): [number, string][] {
  for (const { id, payload } of sections) {
    if (id !== SectionId.CUSTOM) continue
    const reader = new WasmReader(payload, 0, payload.length)
    if (reader.name() !== 'name') continue
    while (!reader.isAtEnd) {
      const kind = reader.byte()
      const bytes = reader.take(reader.u32())
      if (kind === NAMES_OF_FUNCTIONS) return readNameMap(bytes)
    }
  }
  return []
}

function readNameMap(bytes: Uint8Array): [number, string][] {
  const reader = new WasmReader(bytes, 0, bytes.length)
  const count = reader.u32()
  return Array.from({ length: count }, () => [reader.u32(), reader.name()])
}

function skipLimits(reader: WasmReader): void {
  const hasMaximum = (reader.byte() & 1) === 1
  reader.u32()
  if (hasMaximum) reader.u32()
}
