import { execFile } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { promisify } from 'node:util'
import { expect, test } from 'vitest'

function read(path: string): string {
  return readFileSync(new URL(`../../${path}`, import.meta.url), 'utf8')
}

test.each(['messages.ts', 'messages-worker.ts'])(
  'docs/messages.md shows examples/%s as it is',
  (name) => {
    expect(read('docs/messages.md')).toContain(
      `<!-- examples/${name} -->\n\n\`\`\`ts\n${read(`examples/${name}`)}\`\`\``,
    )
  },
)

test('the example of docs/messages.md runs and prints its sum', async () => {
  const example = new URL('../../examples/messages.ts', import.meta.url)
  const { stdout } = await promisify(execFile)(process.execPath, [example.pathname])
  expect(stdout).toBe('the squares of 1 to 1000 add up to 333833500\n')
})
