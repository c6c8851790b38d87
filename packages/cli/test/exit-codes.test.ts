import { spawnSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterAll, beforeAll, expect, test } from 'vitest'

import { guestyard, scenario } from './command-line.ts'

let folder = ''
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'guestyard-cli-'))
})
afterAll(() => rmSync(folder, { recursive: true, force: true }))

test('a scenario whose checks hold ends with 0, and leaves its report as JSON and as a page', async () => {
  const json = join(folder, 'out.json')
  const page = join(folder, 'out.html')
  const end = await guestyard(['run', scenario('checks.ts'), '--json', json, '--report', page])
  expect(end).toMatchObject({ exitCode: 0, stderr: 'db is up\n' })
  expect(end.stdout).toContain('✓ one: 1 (asked: > 0)\n')
  expect(end.stdout).toMatch(/\nchecks: passed in /)
  expect(JSON.parse(readFileSync(json, 'utf8'))).toMatchObject({ outcome: 'passed' })
  expect(readFileSync(page, 'utf8')).toContain('<title>checks: passed</title>')
})

test('a scenario with a check that does not hold ends with 1', async () => {
  process.env['CHECKS_FAIL'] = '1'
  const end = await guestyard(['run', scenario('checks.ts')]).finally(
    () => delete process.env['CHECKS_FAIL'],
  )
  expect(end.exitCode).toBe(1)
  expect(end.stdout).toContain('✗ one: 1 (asked: > 99)\n')
})

test('a scenario that throws ends with 1, and says what and where on one line', async () => {
  const end = await guestyard(['run', scenario('throws.ts'), '--json', '-'])
  expect(end.exitCode).toBe(1)
  expect(end.stderr).toContain('\nTypeError: my own mistake (throws.ts:7)\n')
  expect(JSON.parse(end.stdout)).toMatchObject({
    error: { place: 'throws.ts:7', stack: expect.stringContaining('    at ') as string },
  })
})

test('a scenario that does not parse ends with 2 and the line that is wrong', async () => {
  for (const [name, text, problem] of [
    ['typed.ts', 'const a: number = 1\nexport default { a: = a }\n', 'Expression expected'],
    ['plain.mjs', 'const a = 1\nexport default { a: = a }\n', "Unexpected token '='"],
  ] as const) {
    const path = join(folder, name)
    writeFileSync(path, text)
    expect(await guestyard(['run', path])).toMatchObject({
      exitCode: 2,
      stdout: '',
      stderr: `guestyard: ${path}: cannot be loaded: SyntaxError: ${problem} (${name}:2)\n`,
    })
  }
})

test('an interrupted scenario ends with 130 within a second, under load and with nothing left', async () => {
  const end = await guestyard(['run', scenario('endless.ts')], 'under load')
  expect(end.exitCode).toBe(130)
  expect(end.endedAfterMs).toBeLessThan(1000)
  expect(end.stdout).toContain('endless: interrupted in ')
})

test('a load prints JSON alone on standard output, and its thresholds decide the exit code', async () => {
  const quick = ['--duration', '50ms', '--warm-up', '10ms', '--repeats', '1', '--json', '-']
  const held = await guestyard(['load', ...quick, '--threshold', 'packetsPerSecond>1'])
  expect(held.exitCode).toBe(0)
  expect(JSON.parse(held.stdout)).toMatchObject({ outcome: 'passed' })
  const missed = await guestyard(['load', ...quick, '--threshold', 'packetsPerSecond>1e15'])
  expect(missed.exitCode).toBe(1)
  expect(JSON.parse(missed.stdout)).toMatchObject({ outcome: 'failed' })
})

test('a baseline holds against itself, and is refused for other settings before anything starts', async () => {
  const base = join(folder, 'base.json')
  const quick = ['load', '--duration', '50ms', '--warm-up', '10ms', '--repeats', '1']
  expect(await guestyard([...quick, '--save-baseline', base])).toMatchObject({ exitCode: 0 })
  const compared = await guestyard([...quick, '--baseline', base, '--tolerance', '99%'])
  expect(compared).toMatchObject({ exitCode: 0 })
  expect(compared.stdout).toContain('against the baseline')
  expect(await guestyard([...quick, '--batch', '1', '--baseline', base])).toMatchObject({
    exitCode: 2,
    stderr: `guestyard: --baseline: ${base} is not comparable: batch of load 1 was 32, is 1\n`,
  })
})

test('a reader that is gone before the help comes is no error, and no stack', () => {
  const command = fileURLToPath(new URL('../bin/guestyard.js', import.meta.url))
  // `true` has ended long before the command has loaded.
  const line = `"${process.execPath}" "${command}" --help | true`
  const { status, stderr } = spawnSync('/bin/sh', ['-c', line], { encoding: 'utf8' })
  expect({ status, stderr }).toEqual({ status: 0, stderr: '' })
})
