// A Linux guest that was never fetched: the VM says so, and nothing else is lost.

import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { startHost } from '@guestyard/management'
import { expect, test, vi } from 'vitest'

test('a VM whose Linux is not there does not start, and says how to get it', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'guestyard-no-linux-'))
  const host = await startHost({ log: { level: 'silent' } })
  try {
    const vm = host.createVm({ name: 'box', linux: { folder } })
    await expect(vm.start()).rejects.toThrow('run `guestyard guest fetch linux` first')
    expect([vm.state, vm.lastExit?.reason]).toEqual(['failed', 'start-failed'])
    await expect(vm.exec('true')).rejects.toThrow('VM "box" is failed')
  } finally {
    await host.close()
    rmSync(folder, { recursive: true })
  }
})

test('a VM whose settings name no folder looks for its Linux where the environment says', async () => {
  const cache = mkdtempSync(join(tmpdir(), 'guestyard-cache-'))
  vi.stubEnv('GUESTYARD_CACHE', cache)
  const host = await startHost({ log: { level: 'silent' } })
  try {
    const vm = host.createVm({ name: 'box', linux: {} })
    const detail = `no Linux guest in ${join(cache, 'linux')}: run \`guestyard guest fetch linux\` first`
    await expect(vm.start()).rejects.toThrow(detail)
    expect(vm.lastExit).toEqual({ reason: 'start-failed', detail })
  } finally {
    await host.close()
    vi.unstubAllEnvs()
    rmSync(cache, { recursive: true })
  }
})
