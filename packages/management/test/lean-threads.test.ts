// What the threads of a VM must not load or see.

import { afterAll, beforeAll, expect, test, vi } from 'vitest'

import { startHost, type Host } from '../src/index.ts'

const MIB = 1024 * 1024
const LOADED = new URL('./guests/loaded.ts', import.meta.url)

let host: Host

beforeAll(async () => {
  // As if unset, whatever the shell says.
  vi.stubEnv('NODE_COMPILE_CACHE', '')
  host = await startHost({ log: { level: 'silent' } })
})

afterAll(async () => {
  await host.close()
  vi.unstubAllEnvs()
})

async function ask(name: string, question: string): Promise<unknown> {
  const vm = host.createVm({ name, memoryBytes: 4 * MIB, program: LOADED })
  await vm.start()
  const answer = await vm.call(question)
  await vm.stop()
  return answer
}

test('a guest whose code was compiled before loads neither the type stripper nor the HTTP client', async () => {
  // The first boot may find the compile cache cold, and leaves it warm.
  await ask('first', 'heavy')
  expect(await ask('second', 'heavy')).toEqual([])
})

test('a guest sees nothing of its host’s environment but where compiled code is kept', async () => {
  expect(await ask('curious', 'environment')).toEqual(['NODE_COMPILE_CACHE'])
})
