/** What every package's package.json and tsconfig.json have in common: a door forgotten here is found by a user. */
import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'

import { describe, expect, test } from 'vitest'

import { readManifest, ROOT, workspacePackages } from '../scripts/house/workspace.ts'

describe.for(workspacePackages().map((subject) => [subject.name, subject.directory] as const))(
  '%s',
  ([, directory]) => {
    const manifest = readManifest(join(directory, 'package.json'))

    test('publishes each door from dist/, at the place where its source is', () => {
      const published = Object.entries(manifest.exports ?? {}).map(([door, source]) => {
        if (!source.endsWith('.ts')) return [door, source]
        const built = source.replace(/^\.\/src\//, './dist/').replace(/\.ts$/, '')
        return [door, { types: `${built}.d.ts`, default: `${built}.js` }]
      })
      expect(manifest.publishConfig?.exports).toEqual(Object.fromEntries(published))
    })

    test('has no door that leads nowhere', () => {
      const paths = Object.values(manifest.exports ?? {})
      expect(paths.filter((path) => !existsSync(join(directory, path)))).toEqual([])
    })

    test('ships its build, its source and nothing else', () => {
      const extra = manifest['bin'] === undefined ? [] : ['bin']
      const docs = existsSync(join(directory, 'docs')) ? ['docs'] : []
      expect(manifest['files']).toEqual([...extra, 'dist', ...docs, 'src', '!dist/.tsbuildinfo'])
    })

    test('runs where the others run, under the same license', () => {
      const common = { type: 'module', license: 'MIT', engines: { node: '>=22.13' } }
      expect(manifest).toMatchObject(common)
    })

    test('is compiled after each package that it depends on', () => {
      const dependencies = Object.keys(manifest['dependencies'] ?? {})
        .filter((dependency) => dependency.startsWith('@guestyard/'))
        .map((dependency) => dependency.replace('@guestyard/', '../'))
      expect(references(directory)).toEqual(expect.arrayContaining(dependencies))
    })

    test('opens with a README', () => {
      expect(existsSync(join(directory, 'README.md'))).toBe(true)
    })

    test('shows an example that the tests run', () => {
      expect(existsSync(join(directory, 'examples/quickstart.ts'))).toBe(true)
    })
  },
)

test('the build compiles every package', () => {
  const directories = workspacePackages().map(({ directory }) => directory)
  const built = references(ROOT, 'tsconfig.build.json').map((path) => join(ROOT, path))
  expect(built.toSorted()).toEqual(directories.toSorted())
})

function references(directory: string, name = 'tsconfig.json'): string[] {
  const config = readFileSync(join(directory, name), 'utf8')
  return [...config.matchAll(/"path": "([^"]+)"/g)].map(([, path]) => path!)
}
