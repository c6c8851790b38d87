// In which order kernel modules can be loaded. Each says what it needs in its `.modinfo` section: text of the form `depends=a,b` between NULs.

import { BootError } from '../boot/boot-error.ts'
import type { KernelModule } from './initramfs.ts'

const DEPENDS = new TextEncoder().encode('\0depends=')

/** Names of the modules that this one needs, as `modprobe` spells them. */
export function dependenciesOf(module: Uint8Array): string[] {
  const at = indexOf(module, DEPENDS)
  if (at < 0) return []
  const from = at + DEPENDS.length
  const end = module.indexOf(0, from)
  const text = new TextDecoder().decode(module.subarray(from, end < 0 ? module.length : end))
  return text === '' ? [] : text.split(',').map(moduleName)
}

/** `hid-hyperv.ko` and `hid_hyperv` are one name. */
export function moduleName(file: string): string {
  return file.replace(/[.]ko$/, '').replaceAll('-', '_')
}

/**
 * The wanted modules and all that they need, each after what it needs. `find` gives a module by its name, or undefined where the kernel has
 * none such. Throws a BootError that names a module which is missing, or needs itself.
 */
export function inLoadOrder(
  wanted: readonly string[],
  find: (name: string) => KernelModule | undefined,
): KernelModule[] {
  const ordered: KernelModule[] = []
  const done = new Set<string>()
  const visit = (name: string, path: readonly string[]): void => {
    if (done.has(name)) return
    if (path.includes(name)) throw new BootError(`module ${name}: needs itself`)
    const module = find(name)
    if (module === undefined) {
      const asker = path.at(-1)
      throw new BootError(
        `module ${name}: the kernel has none such${asker === undefined ? '' : `, and ${asker} needs it`}`,
      )
    }
    for (const needed of dependenciesOf(module.bytes)) visit(needed, [...path, name])
    done.add(name)
    ordered.push(module)
  }
  for (const name of wanted) visit(moduleName(name), [])
  return ordered
}

function indexOf(bytes: Uint8Array, pattern: Uint8Array): number {
  let at = bytes.indexOf(pattern[0]!)
  while (at >= 0) {
    let same = 1
    while (same < pattern.length && bytes[at + same] === pattern[same]) same += 1
    if (same === pattern.length) return at
    at = bytes.indexOf(pattern[0]!, at + 1)
  }
  return -1
}
