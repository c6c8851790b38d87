import { chmodSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'

import { checkWritable } from '../src/index.ts'

const NOBODY = 65_534

let folder = ''

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'guestyard-'))
  chmodSync(folder, 0o777)
})
afterEach(() => rmSync(folder, { recursive: true }))

/** Mode bits mean nothing to a superuser: the work is done as nobody then. */
function unprivileged(work: () => void): void {
  if (process.getuid?.() !== 0) return work()
  process.seteuid?.(NOBODY)
  try {
    work()
  } finally {
    process.seteuid?.(0)
  }
}

function fileOf(mode: number): string {
  const path = join(folder, 'results.json')
  writeFileSync(path, 'before')
  chmodSync(path, mode)
  return path
}

describe('a file for results', () => {
  test('that is there and read-only is refused, though its folder may be written', () => {
    const path = fileOf(0o444)
    unprivileged(() => {
      expect(() => checkWritable(path, '--json')).toThrow(`--json: cannot write ${path}`)
    })
  })

  test('that is there and writable is taken in a folder that is not, and stays as it is', () => {
    const path = fileOf(0o666)
    chmodSync(folder, 0o555)
    unprivileged(() => checkWritable(path, '--json'))
    expect(readFileSync(path, 'utf8')).toBe('before')
    chmodSync(folder, 0o777)
  })

  test('that is not there is taken and not made', () => {
    const path = join(folder, 'new.json')
    checkWritable(path, '--json')
    expect(() => readFileSync(path)).toThrow('ENOENT')
  })

  test('that is a device is taken', () => {
    expect(() => checkWritable('/dev/null', '--json')).not.toThrow()
  })
})
