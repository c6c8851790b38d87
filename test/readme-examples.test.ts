/** Each package's README shows its examples/quickstart.ts, to the letter, and that example does what it says. */
import { readFileSync } from 'node:fs'
import { join, relative } from 'node:path'

import { describe, expect, test } from 'vitest'

import { run } from '../scripts/house/run.ts'
import { brokenPromise, readmeExamples, ROOT } from '../scripts/house/workspace.ts'

const examples = readmeExamples()

test('there are examples', () => {
  expect(examples).not.toEqual([])
})

describe.for(examples.map((example) => [relative(ROOT, example.path), example] as const))(
  '%s',
  ([, example]) => {
    test('is what the README shows', () => {
      const readme = readFileSync(join(example.package.directory, 'README.md'), 'utf8')
      const shown = /<!-- examples\/quickstart\.ts -->\n+```ts\n(.*?)```/s.exec(readme)?.[1]
      expect(shown).toBe(example.source)
    })

    test('runs to its end and prints what it says', { timeout: 60_000 }, async () => {
      const finished = await run(process.execPath, [example.path], { cwd: ROOT })
      expect(finished.ok, `${finished.output}${finished.reason}`).toBe(true)
      expect(brokenPromise(example, finished.stdout)).toBeUndefined()
    })
  },
)
