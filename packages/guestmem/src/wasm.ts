// WebAssembly as this project uses it. The platform's own declarations come with the DOM library or
// not at all; the few shapes below are structural, so a `WebAssembly.Memory` of either world fits
// them.

/** A `WebAssembly.Memory`. `postMessage` carries a shared one to another worker. */
export interface WasmMemory {
  readonly buffer: ArrayBufferLike
  grow(deltaPages: number): number
}

/** A compiled `WebAssembly.Module`. */
export type WasmModule = object

/** Exports of an instance: functions over numbers, by name. */
export type WasmExports = Readonly<Record<string, unknown>>

export interface WasmNamespace {
  readonly Memory: new (descriptor: {
    readonly initial: number
    readonly maximum?: number
    readonly shared?: boolean
  }) => WasmMemory
  readonly Module: new (bytes: Uint8Array<ArrayBuffer>) => WasmModule
  readonly Instance: new (
    module: WasmModule,
    imports: Readonly<Record<string, Readonly<Record<string, unknown>>>>,
  ) => { readonly exports: WasmExports }
}

/** The platform's WebAssembly. Node and every browser this runs in has it. */
export const wasm: WasmNamespace = (globalThis as unknown as { WebAssembly: WasmNamespace })
  .WebAssembly

/** Bytes of one WebAssembly page: the unit of size and growth of a memory. */
export const WASM_PAGE_SIZE = 65536

/**
 * Compiles a kernel at once from base64 text: no loader, bundler or fetch stands between a package
 * and its kernel. Kernels are a few kilobytes at most, which browsers compile on the main thread
 * too. Throws a CompileError where the platform lacks a feature the module uses; callers that have
 * a twin catch it.
 */
export function compileBase64(base64: string): WasmModule {
  const text = atob(base64)
  const bytes = new Uint8Array(text.length)
  for (let index = 0; index < text.length; index += 1) bytes[index] = text.charCodeAt(index)
  return new wasm.Module(bytes)
}
