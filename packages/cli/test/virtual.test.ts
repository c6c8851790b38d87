// The command's part of the virtual engine: two files that are equal, a sweep, a replay, a trace as lines.

import { execFileSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'

import { guestyard, scenario } from './command-line.ts'

let folder = ''
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'guestyard-cli-'))
})
afterAll(() => rmSync(folder, { recursive: true, force: true }))

/** A run of the checks with a seed: its trace and its JSON. */
async function checks(seed: string, name: string): Promise<readonly [Buffer, string]> {
  const path = join(folder, name)
  const end = await guestyard([
    ...['run', scenario('checks.ts'), '--engine', 'virtual', '--seed', seed],
    ...['--trace', path, '--json', '-'],
  ])
  expect(end.exitCode).toBe(0)
  expect(end.stderr).toContain('db is up\n')
  return [readFileSync(path), end.stdout]
}

describe('run --engine virtual', { timeout: 60_000 }, () => {
  test('twice with one seed leaves two identical files and reports; another seed leaves others', async () => {
    const [first, second, other] = await Promise.all([
      checks('7', 'a.trace'),
      checks('7', 'b.trace'),
      checks('8', 'c.trace'),
    ])
    expect(Buffer.compare(first[0], second[0])).toBe(0)
    expect(second[1]).toBe(first[1])
    expect(Buffer.compare(first[0], other[0])).not.toBe(0)
    expect(JSON.parse(first[1])).toMatchObject({
      outcome: 'passed',
      environment: { engine: 'virtual', seed: 7, costs: { control: 20_000 } },
    })
  })

  test('leaves the same trace however the path is typed', async () => {
    const link = join(folder, 'a link')
    symlinkSync(scenario('.'), link)
    const [plain] = await checks('3', 'plain.trace')
    const path = join(folder, 'linked.trace')
    const flags = ['--engine', 'virtual', '--seed', '3', '--trace', path]
    expect((await guestyard(['run', join(link, 'checks.ts'), ...flags])).exitCode).toBe(0)
    expect(Buffer.compare(readFileSync(path), plain)).toBe(0)
  })

  test.each(['--trace', '--json'])(
    '%s on a full disk: the report, one line, exit code 1',
    async (flag) => {
      const end = await guestyard([
        'run',
        scenario('checks.ts'),
        '--engine',
        'virtual',
        flag,
        '/dev/full',
      ])
      expect(end.exitCode).toBe(1)
      expect(end.stdout).toContain('checks: passed')
      expect(end.stderr).toMatch(
        new RegExp(`\nguestyard: ${flag}: cannot write /dev/full: ENOSPC[^\n]+\n$`),
      )
      expect(end.stderr).not.toContain('    at ')
    },
  )

  test('interrupted ends with 130 within seconds, and says so', async () => {
    const args = ['run', scenario('endless.ts'), '--engine', 'virtual']
    const end = await guestyard(args, 'under load')
    expect(end.exitCode).toBe(130)
    expect(end.endedAfterMs).toBeLessThan(3000)
    expect(end.stdout).toContain('endless: interrupted in ')
  })
})

describe('run --seeds', { timeout: 60_000 }, () => {
  test('ends at the first failure with 1 and the one command that shows it again', async () => {
    const end = await guestyard(['run', scenario('race.ts'), '--seeds', '0..99', '--json', '-'])
    expect(end.exitCode).toBe(1)
    const { failure } = JSON.parse(end.stdout) as {
      failure: { seed: number; replay: string; report: unknown }
    }
    expect(end.stderr).toContain(`seed ${failure.seed} failed`)
    expect(end.stderr).toContain(`\n  ${failure.replay}\n`)
    const again = await guestyard([...failure.replay.split(' ').slice(1), '--json', '-'])
    expect(again.exitCode).toBe(1)
    expect(JSON.parse(again.stdout)).toEqual(failure.report)
    // Every lower seed passes: it is the first.
    const lower = ['run', scenario('race.ts'), '--seeds', `0..${failure.seed - 1}`]
    if (failure.seed > 0) expect((await guestyard(lower)).exitCode).toBe(0)
  })

  test('names the seed at which a scenario fails to load, and the command in words of a shell', async () => {
    const link = join(folder, "it's here")
    symlinkSync(scenario('..'), link)
    const path = join(link, 'scenarios', 'threads-only.ts')
    const flags = ['--seeds', '5..9', '--cost', 'vpUnit=7', '--time-limit', '2 s', '--json', '-']
    const end = await guestyard(['run', path, ...flags])
    expect(end.exitCode).toBe(1)
    const { failure } = JSON.parse(end.stdout) as {
      failure: { seed: number; replay: string; report: null; message: string }
    }
    expect(failure).toMatchObject({ seed: 5, report: null })
    expect(failure.message).toContain('not on this thread')
    expect(end.stderr).toContain(`seed 5 failed, 0 passed. To see it again:\n  ${failure.replay}\n`)
    const words = execFileSync('/bin/sh', ['-c', `printf '%s|' ${failure.replay}`], {
      encoding: 'utf8',
    })
    expect(words).toBe(
      `guestyard|run|${path}|--engine|virtual|--seed|5|--cost|vpUnit=7|--time-limit|2 s|`,
    )
  })

  test('of a scenario that holds ends with 0 and a count', async () => {
    const end = await guestyard(['run', scenario('checks.ts'), '--seeds', '1..4'])
    expect(end).toMatchObject({ exitCode: 0, stdout: 'seeds 1..4: 4 passed\n' })
  })

  test('interrupted ends with 130', async () => {
    const args = ['run', scenario('endless.ts'), '--seeds', '1..1000']
    const end = await guestyard(args, 'at a time')
    expect(end.exitCode).toBe(130)
    expect(end.endedAfterMs).toBeLessThan(4000)
  })
})

describe('trace', { timeout: 60_000 }, () => {
  test('prints lines for people, and JSON for programs, of the actors and kinds asked for', async () => {
    await checks('7', 'lines.trace')
    const path = join(folder, 'lines.trace')
    const all = await guestyard(['trace', path])
    expect(all.exitCode).toBe(0)
    expect(all.stdout).toMatch(/^ +1 +0\.000 µs {2}host +task +delayNs=0\n/)
    const some = await guestyard(['trace', path, '--actor', 'db', '--kind', 'hypercall', '--json'])
    const records = some.stdout
      .trimEnd()
      .split('\n')
      .map((line) => JSON.parse(line) as { actor: string; kind: string; cause: number })
    expect(records.length).toBeGreaterThan(5)
    for (const record of records) expect(record).toMatchObject({ actor: 'db', kind: 'hypercall' })
  })

  test('of a damaged file, of nobody and of nothing is refused on one line', async () => {
    const [bytes] = await checks('7', 'whole.trace')
    const whole = join(folder, 'whole.trace')
    const path = join(folder, 'short.trace')
    writeFileSync(path, bytes.subarray(0, bytes.length / 2))
    for (const [args, problem] of [
      [['trace', path], /short\.trace: is cut short after record \d+\n$/],
      [['trace', whole, '--actor', 'eve'], /--actor: no actor 'eve': host, root, db\n$/],
      [['trace', whole, '--kind', 'luck'], /--kind: no kind 'luck': wake, task, [^\n]+\n$/],
    ] as const) {
      const end = await guestyard(args)
      expect(end.exitCode).toBe(2)
      expect(end.stderr).toMatch(problem)
      expect(end.stderr.split('\n').length).toBe(2)
    }
  })

  test('a reader that has seen enough ends it quietly', async () => {
    await checks('7', 'long.trace')
    const command = new URL('../bin/guestyard.js', import.meta.url).pathname
    const line = `"${process.execPath}" "${command}" trace "${join(folder, 'long.trace')}" | head -1`
    const first = execFileSync('/bin/sh', ['-c', line], { encoding: 'utf8' })
    expect(first).toContain('host')
  })
})
