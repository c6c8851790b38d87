// The fetched guest as it came: with a kernel that unpacks itself, for whoever wants to know what that costs.

import { mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { linuxCacheFolder, readManifest } from '@guestyard/x86-partition/node'

export interface PackedGuest extends Disposable {
  readonly folder: string
}

/** A folder of links; gone when disposed of. Throws where no guest was fetched. */
export function packedGuest(): PackedGuest {
  const cache = linuxCacheFolder()
  const manifest = readManifest(cache)
  if (manifest === null) throw new Error('no Linux guest: run `guestyard guest fetch linux` first')
  const { vmlinux: _, ...files } = manifest.files
  const folder = mkdtempSync(join(tmpdir(), 'guestyard-packed-'))
  for (const name of Object.keys(files)) symlinkSync(join(cache, name), join(folder, name))
  writeFileSync(join(folder, 'manifest.json'), JSON.stringify({ ...manifest, files }))
  return { folder, [Symbol.dispose]: () => rmSync(folder, { recursive: true, force: true }) }
}
