import { readFileSync } from 'node:fs'
import { expect, test } from 'vitest'
import { hasWasmKernel } from '@guestyard/ring'
import { generateModule } from '../scripts/build-kernel.ts'

const MODULE = new URL('../src/ring-kernel-module.ts', import.meta.url)

test('the generated module is that of the text', async () => {
  expect(await generateModule()).toBe(readFileSync(MODULE, 'utf8'))
})

test('the module is small enough for a browser to compile on its main thread', () => {
  const text = readFileSync(MODULE, 'utf8')
  const base64 = [...text.matchAll(/'([^']*)'/g)].map((match) => match[1]).join('')
  expect(atob(base64).length).toBeLessThan(4096)
})

test('this platform runs the WebAssembly kernel', () => {
  expect(hasWasmKernel()).toBe(true)
})
