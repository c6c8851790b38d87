import { writeFileSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { afterAll, describe, expect, test } from 'vitest'

import { InputError, planScenario } from '../src/index.ts'
import type { Scenario } from '../src/index.ts'

const folder = mkdtempSync(join(tmpdir(), 'guestyard-disk-plan-'))
const there = join(folder, 'there.img')
writeFileSync(there, '')
const fileUrl = pathToFileURL(join(folder, 'x.ts')).href
afterAll(() => rmSync(folder, { recursive: true, force: true }))

function plan(vm: object) {
  const scenario = { vms: { db: { memory: '2 MiB', ...vm } }, run: () => {} }
  return planScenario(scenario as unknown as Scenario, { where: 'x.ts', fileUrl }).vms[0]!
}

function refusal(vm: object): string {
  try {
    plan(vm)
  } catch (error) {
    expect(error).toBeInstanceOf(InputError)
    return (error as Error).message
  }
  throw new Error('the scenario was taken')
}

describe('disks of a scenario', () => {
  test('are files beside it, made when they are missing and have a size, or memory', () => {
    const { disks } = plan({
      disks: [
        { vhdx: 'db.vhdx', size: '1 GiB' },
        { raw: 'there.img', readOnly: true, controller: 'ide', number: 1, location: 0 },
        { memory: '64 MiB', blockBytes: 4096, limits: { iops: 500, bytesPerSecond: '10 MiB' } },
        { vhdx: 'child.vhdx', parent: 'there.img' },
      ],
      dvd: 'there.img',
    })
    expect(disks).toEqual([
      { file: new URL('db.vhdx', fileUrl), format: 'vhdx', blockBytes: 512, sizeBytes: 2 ** 30 },
      {
        file: pathToFileURL(there),
        format: 'raw',
        blockBytes: 512,
        readOnly: true,
        controllerType: 'ide',
        controllerNumber: 1,
        controllerLocation: 0,
      },
      {
        memoryBytes: 64 * 2 ** 20,
        blockBytes: 4096,
        limits: { iops: 500, bytesPerSecond: 10 * 2 ** 20 },
      },
      { file: new URL('child.vhdx', fileUrl), parent: pathToFileURL(there), format: 'vhdx' },
      { file: pathToFileURL(there), format: 'raw', device: 'dvd' },
    ])
  })

  test('a drive may be empty, and may say where it is', () => {
    expect(plan({ dvd: null }).disks).toEqual([{ device: 'dvd' }])
    expect(plan({ dvd: { iso: null, controller: 'ide', location: 1 } }).disks).toEqual([
      { device: 'dvd', controllerType: 'ide', controllerLocation: 1 },
    ])
  })

  const cases: readonly (readonly [object, string])[] = [
    [{ disks: 'db.vhdx' }, 'disks: expected a list of disks'],
    [{ disks: [{}] }, 'disks.0: expected exactly one of vhdx, vhd, raw, file, memory'],
    [
      { disks: [{ vhdx: 'a', raw: 'b' }] },
      'disks.0: expected exactly one of vhdx, vhd, raw, file, memory',
    ],
    [{ disks: [{ vhdx: 5 }] }, 'disks.0.vhdx: expected the path of an image, got 5'],
    [
      { disks: [{ vhdx: 'none.vhdx' }] },
      `disks.0.vhdx: no file ${join(folder, 'none.vhdx')} (with a size it would be made)`,
    ],
    [{ disks: [{ vhdx: 'http://x/y' }] }, 'disks.0.vhdx: expected a file, got http:'],
    [{ disks: [{ memory: 1000 }] }, 'disks.0.memory: 1000 bytes are no whole blocks of 512'],
    [{ disks: [{ memory: '8 GiB' }] }, "disks.0.memory: '8 GiB' is not above 0 and at most 4 GiB"],
    [
      { disks: [{ memory: 4096, size: 4096 }] },
      'disks.0: size, fixed and parent are about files, not about memory',
    ],
    [
      { disks: [{ vhd: 'c.vhd', parent: 'there.img' }] },
      'disks.0.parent: its child is a VHDX, of its size, and never fixed',
    ],
    [{ disks: [{ memory: 4096, lun: 3 }] }, 'disks.0.lun: unknown field (known: vhdx, vhd, raw'],
    [
      { disks: [{ memory: 4096, controller: 'nvme' }] },
      "disks.0.controller: expected 'scsi' or 'ide', got 'nvme'",
    ],
    [
      { disks: [{ memory: 4096, limits: { iops: 0 } }] },
      'disks.0.limits.iops: expected 1 or more, got 0',
    ],
    [{ dvd: 7 }, 'dvd: expected the path of an ISO image, null, or an object with iso, got 7'],
  ]
  test.each(cases)('%o is refused with its field and the reason', (vm, line) => {
    expect(refusal(vm)).toContain(`x.ts: vms.db.${line}`)
  })
})
