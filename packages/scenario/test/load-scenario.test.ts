import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'

import { InputError, loadScenario } from '../src/index.ts'

let folder = ''
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'guestyard-scenario-'))
})
afterAll(() => rmSync(folder, { recursive: true, force: true }))

function file(name: string, text: string): string {
  const path = join(folder, name)
  writeFileSync(path, text)
  return path
}

async function refusal(path: string): Promise<string> {
  const error: unknown = await loadScenario(path).catch((reason: unknown) => reason)
  expect(error).toBeInstanceOf(InputError)
  return (error as Error).message.replaceAll(`${folder}/`, '')
}

describe('a scenario file that cannot be run is refused on one line', () => {
  test('a file that is not there, a folder, and a file of another kind', async () => {
    expect(await refusal(join(folder, 'none.ts'))).toBe('none.ts: no such file')
    expect(await refusal(folder)).toMatch(/: is not a file$/)
    expect(await refusal(file('notes.txt', ''))).toBe(
      'notes.txt: is not a scenario file: expected .ts, .mts, .js or .mjs',
    )
  })

  test('a file that does not parse, or throws, or exports nothing of use', async () => {
    expect(await refusal(file('broken.mjs', 'export default {'))).toMatch(
      /^broken\.mjs: cannot be loaded: SyntaxError: [^\n]+$/,
    )
    expect(await refusal(file('throws.mjs', 'throw new Error("no\\nway")'))).toBe(
      'throws.mjs: cannot be loaded: Error: no way',
    )
    expect(await refusal(file('empty.mjs', 'export const a = 1'))).toBe(
      'empty.mjs: has no default export: write export default defineScenario({ … })',
    )
    expect(await refusal(file('number.mjs', 'export default 7'))).toBe(
      'number.mjs: its default export is 7, expected defineScenario({ … })',
    )
  })

  test('a wrong field, by file and by name', async () => {
    const text = 'export default { vms: { db: { memory: "64" } }, run() {} }'
    expect(await refusal(file('field.mjs', text))).toBe(
      "field.mjs: vms.db.memory: '64' is not a size: write a number and B, KiB, MiB, GiB or TiB, such as '64 MiB'",
    )
    const guest = 'export default { vms: { db: { memory: "64 MiB", guest: "./no.ts" } }, run() {} }'
    expect(await refusal(file('guest.mjs', guest))).toBe('guest.mjs: vms.db.guest: no file no.ts')
  })
})

test('a sound file becomes a plan that knows where it came from', async () => {
  file('guest.ts', 'export async function main() {}')
  const path = file(
    'sound.ts',
    `const memory: string = '64 MiB'
     export default { vms: { db: { memory, guest: './guest.ts' } }, run() {} }`,
  )
  const plan = await loadScenario(path)
  expect(plan.name).toBe('sound')
  expect(plan.fileUrl).toBe(`file://${path}`)
  expect(plan.vms[0]?.program?.pathname).toBe(join(folder, 'guest.ts'))
})
