/**
 * Shows that the layer check sees what it forbids: a small workspace with one deliberate violation to a file,
 * and beside them files that come close and are allowed.
 */
import { execFile } from 'node:child_process'
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

import { afterAll, beforeAll, describe, expect, test } from 'vitest'

const root = fileURLToPath(new URL('..', import.meta.url))
const depcruise = join(root, 'node_modules/.bin/depcruise')
const config = join(root, '.dependency-cruiser.cjs')

const doors: Record<string, Record<string, string>> = {
  hvdef: { '.': './src/index.ts', './testing': './src/testing.ts' },
  guestmem: { '.': './src/index.ts' },
  ring: { '.': './src/index.ts', './node': './src/node.ts' },
  hypervisor: { '.': './src/index.ts' },
  engine: { '.': './src/index.ts' },
  vmbus: {
    '.': './src/index.ts',
    './server': './src/server/index.ts',
    './client': './src/client/index.ts',
  },
  input: {
    './protocol': './src/protocol.ts',
    './vsp': './src/vsp/index.ts',
    './vsc': './src/vsc/index.ts',
  },
  'root-partition': { '.': './src/index.ts' },
  'child-partition': { '.': './src/index.ts', './worker-protocol': './src/worker-protocol.ts' },
  management: { '.': './src/index.ts' },
  scenario: { '.': './src/index.ts' },
}

/** Each file breaks the one rule beside it. */
const violations: readonly [rule: string, file: string, source: string][] = [
  ['row-0-hvdef', 'packages/hvdef/src/value.ts', `import { x } from '@guestyard/guestmem'`],
  ['row-0-hvdef', 'packages/hvdef/src/type.ts', `import type { X } from '@guestyard/ring'`],
  ['row-0-hvdef', 'packages/hvdef/src/inline-type.ts', `import { type X } from '@guestyard/ring'`],
  [
    'row-0-hvdef',
    'packages/hvdef/src/type-query.ts',
    `export type Y = import('@guestyard/ring').X`,
  ],
  ['row-0-hvdef', 'packages/hvdef/src/re-export.ts', `export { x } from '@guestyard/ring'`],
  [
    'row-0-hvdef',
    'packages/hvdef/src/re-export-type.ts',
    `export type { X } from '@guestyard/ring'`,
  ],
  [
    'row-0-hvdef',
    'packages/hvdef/src/dynamic.ts',
    `export const late = await import('@guestyard/ring')`,
  ],
  ['row-2-ring', 'packages/ring/src/beside.ts', `import { x } from '@guestyard/hypervisor'`],
  ['row-2-ring', 'packages/ring/test/above.test.ts', `import { x } from '@guestyard/engine'`],
  ['row-7-scenario', 'packages/scenario/src/above.ts', `import { x } from '@guestyard/cli'`],
  [
    'host-imports-guest',
    'packages/root-partition/src/a.ts',
    `import { x } from '@guestyard/vmbus/client'`,
  ],
  [
    'host-imports-guest',
    'packages/root-partition/src/b.ts',
    `import type { X } from '@guestyard/input/vsc'`,
  ],
  [
    'host-imports-guest',
    'packages/management/src/vmms/a.ts',
    `import type { X } from '@guestyard/child-partition/worker-protocol'`,
  ],
  ['host-imports-guest', 'packages/input/src/vsp/a.ts', `import type { X } from '../vsc/index.ts'`],
  [
    'host-imports-guest',
    'packages/vmbus/src/server/a.ts',
    `import { x } from '../client/index.ts'`,
  ],
  [
    'vmwp-imports-guest',
    'packages/management/src/vmwp/a.ts',
    `import type { X } from '@guestyard/child-partition'`,
  ],
  [
    'guest-imports-host',
    'packages/child-partition/src/a.ts',
    `import { x } from '@guestyard/vmbus/server'`,
  ],
  [
    'guest-imports-host',
    'packages/child-partition/src/b.ts',
    `import type { X } from '@guestyard/input/vsp'`,
  ],
  ['guest-imports-host', 'packages/input/src/vsc/a.ts', `import { x } from '../vsp/index.ts'`],
  [
    'guest-imports-host',
    'packages/vmbus/src/client/a.ts',
    `import type { X } from '@guestyard/vmbus/server'`,
  ],
  [
    'shared-room-imports-family',
    'packages/vmbus/src/a.ts',
    `export { x } from './server/index.ts'`,
  ],
  [
    'shared-room-imports-family',
    'packages/input/src/a.ts',
    `import type { X } from './vsc/index.ts'`,
  ],
  ['core-imports-node', 'packages/guestmem/src/a.ts', `import { readFileSync } from 'node:fs'`],
  ['core-imports-node', 'packages/ring/src/a.ts', `import type { Worker } from 'worker_threads'`],
  [
    'core-imports-node',
    'packages/engine/src/a.ts',
    `export const os = process.getBuiltinModule('node:os')`,
  ],
  ['core-imports-node-door', 'packages/ring/src/h.ts', `export { x } from './node.ts'`],
  ['past-the-doors', 'packages/ring/src/b.ts', `import { x } from '../../guestmem/src/index.ts'`],
  [
    'past-the-doors',
    'packages/ring/test/path.test.ts',
    `import { x } from '../../hvdef/src/index.ts'`,
  ],
  [
    'past-the-doors-from-the-root',
    'scripts/a.ts',
    `import { x } from '../packages/ring/src/index.ts'`,
  ],
  [
    'unresolvable',
    'packages/ring/src/c.ts',
    `import { x } from '@guestyard/guestmem/src/index.ts'`,
  ],
  ['unresolvable', 'packages/ring/src/d.ts', `import { x } from './nowhere.ts'`],
  ['unresolvable', 'packages/ring/src/e.ts', `import { x } from 'not-installed'`],
  ['source-imports-tests', 'packages/hvdef/src/a.ts', `import { x } from './testing.ts'`],
  [
    'source-imports-tests',
    'packages/ring/src/f.ts',
    `import type { X } from '@guestyard/hvdef/testing'`,
  ],
  ['source-imports-tests', 'packages/ring/src/g.ts', `import { x } from '../test/support.ts'`],
  ['no-cycles', 'packages/hypervisor/src/a.ts', `export { x } from './b.ts'`],
  [
    'no-cycles',
    'packages/hypervisor/src/c.ts',
    `import type { X } from './d.ts'\nexport type Y = X`,
  ],
]

const allowed: readonly [file: string, source: string][] = [
  ['packages/hypervisor/src/b.ts', `export { x } from './a.ts'`], // the other half of a cycle, told once
  ['packages/hypervisor/src/d.ts', `import type { Y } from './c.ts'\nexport type X = Y`],
  ['packages/guestmem/src/below.ts', `import type { X } from '@guestyard/hvdef'`],
  ['packages/ring/src/node.ts', `import { readFileSync } from 'node:fs'\nexport const x = 1`],
  ['packages/ring/test/support.ts', `import { readFileSync } from 'node:fs'`],
  ['packages/ring/test/own.test.ts', `import { x } from '../src/index.ts'`],
  ['packages/ring/test/contract.test.ts', `import { x } from '@guestyard/hvdef/testing'`],
  ['packages/ring/src/testing.ts', `import { x } from '@guestyard/hvdef/testing'`],
  [
    'packages/input/src/testing.ts',
    `import { x } from './vsp/index.ts'\nimport { x as y } from './vsc/index.ts'`,
  ],
  ['packages/input/src/vsp/own.ts', `import type { X } from '../protocol.ts'`],
  ['packages/root-partition/src/node.ts', `import { readFileSync } from 'node:fs'`],
  [
    'packages/management/src/vmwp/start.ts',
    `import type { X } from '@guestyard/child-partition/worker-protocol'`,
  ],
  [
    'packages/scenario/src/both.ts',
    `import { x } from '@guestyard/management'\nimport type { X } from '@guestyard/child-partition'`,
  ],
  ['scripts/b.ts', `import { x } from '@guestyard/ring'`],
]

let workspace = ''
const seen = new Map<string, string[]>()

beforeAll(async () => {
  workspace = mkdtempSync(join(tmpdir(), 'guestyard-layers-'))
  const write = (file: string, source: string): void => {
    mkdirSync(dirname(join(workspace, file)), { recursive: true })
    writeFileSync(join(workspace, file), source + '\n')
  }
  const links = join(workspace, 'node_modules/@guestyard')
  mkdirSync(links, { recursive: true })
  for (const [name, exports] of Object.entries({ ...doors, cli: { '.': './src/index.ts' } })) {
    write(
      `packages/${name}/package.json`,
      JSON.stringify({ name: `@guestyard/${name}`, type: 'module', exports }),
    )
    for (const path of Object.values(exports)) {
      write(`packages/${name}/${path}`, `export type X = number\nexport const x: X = 1`)
    }
    symlinkSync(join(workspace, 'packages', name), join(links, name))
  }
  for (const [, file, source] of violations) write(file, source)
  for (const [file, source] of allowed) write(file, source)
  for (const { from, rule } of await cruise(workspace)) {
    seen.set(from, [...(seen.get(from) ?? []), rule.name])
  }
}, 60_000)

afterAll(() => rmSync(workspace, { recursive: true, force: true }))

describe('the layer check', () => {
  test.for(violations)('%s is broken by %s', ([rule, file]) => {
    expect(seen.get(file)).toContain(rule)
  })

  test('has no rule that is not shown here, but for the rows it has by the dozen', () => {
    const rules: { forbidden: { name: string }[] } = createRequire(import.meta.url)(config)
    const shown = new Set(violations.map(([rule]) => rule))
    const names = rules.forbidden.map(({ name }) => name)
    expect(names.filter((name) => !name.startsWith('row-') && !shown.has(name))).toEqual([])
  })

  test('allows everything else', () => {
    const broken = new Set(violations.map(([, file]) => file))
    expect([...seen.keys()].filter((file) => !broken.has(file))).toEqual([])
  })

  test('refuses a package that has no row', async () => {
    mkdirSync(join(workspace, 'packages/stray'))
    await expect(cruise(workspace)).rejects.toThrow(
      'no row in .dependency-cruiser.cjs for packages/stray',
    )
  })
})

interface Violation {
  readonly from: string
  readonly rule: { readonly name: string }
}

function cruise(cwd: string): Promise<readonly Violation[]> {
  const { promise, resolve, reject } = Promise.withResolvers<readonly Violation[]>()
  const args = ['--config', config, '--output-type', 'json', 'packages', 'scripts']
  execFile(depcruise, args, { cwd, maxBuffer: 1 << 26 }, (error, stdout, stderr) => {
    // Violations exit with their number; only output that is no report is a failure to check.
    if (stdout.startsWith('{')) resolve(JSON.parse(stdout).summary.violations)
    else reject(new Error(stderr, { cause: error }))
  })
  return promise
}
