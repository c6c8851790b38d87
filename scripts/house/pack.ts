// Packs the workspace's packages as they would be published, and lints the tarballs.
import { createHash } from 'node:crypto'
import { existsSync, mkdirSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'

import { inParallel, run } from './run.ts'
import { CACHE, pinnedPnpm, ROOT, workspacePackages } from './workspace.ts'

/** Builds dist/ from nothing, so that no file of an earlier build is packed. Returns what the compiler says of errors. */
export async function buildAfresh(): Promise<string | undefined> {
  for (const { directory } of workspacePackages()) {
    rmSync(join(directory, 'dist'), { recursive: true, force: true })
  }
  const built = await run('tsc', ['-b', 'tsconfig.build.json'], { cwd: ROOT })
  return built.ok ? undefined : `${built.output}${built.reason}`
}

/** Packs every package's present dist/ into `destination`; returns the tarballs, or what went wrong. */
export async function packAll(destination: string): Promise<readonly string[] | string> {
  const [command, args] = pinnedPnpm(
    '--config.ignore-scripts=true', // dist/ is built: prepack would build it again, once a package
    '--filter=./packages/*',
    'pack',
    '--pack-destination',
    destination,
  )
  const packed = await run(command, args, { cwd: ROOT })
  if (!packed.ok) return `${packed.output}${packed.reason}`
  const tarballs = readdirSync(destination).filter((name) => name.endsWith('.tgz'))
  const expected = workspacePackages().length
  if (tarballs.length !== expected) {
    return `${tarballs.length} tarballs came of ${expected} packages\n${packed.output}`
  }
  return tarballs.toSorted().map((name) => join(destination, name))
}

/** Holds each tarball to publint and attw; returns the complaints. A tarball that once passed is not looked at again. */
export async function lintTarballs(tarballs: readonly string[]): Promise<readonly string[]> {
  const passed = join(CACHE, 'tarballs')
  mkdirSync(passed, { recursive: true })
  const complaints = await inParallel(tarballs, 2, async (tarball) => {
    const digest = createHash('sha256').update(TOOLS).update(readFileSync(tarball)).digest('hex')
    if (existsSync(join(passed, digest))) return []
    const lints = [
      await run('publint', ['run', tarball, '--strict'], { cwd: ROOT }),
      await run(
        'attw',
        [tarball, '--profile', 'esm-only', '--no-definitely-typed', '--format', 'ascii'],
        { cwd: ROOT },
      ),
    ].filter(({ ok }) => !ok)
    if (lints.length === 0) writeFileSync(join(passed, digest), '')
    return lints.map(({ output, reason }) => `${tarball}\n${output}${reason}`)
  })
  return complaints.flat()
}

/** A new version of a linter looks at everything again. */
const TOOLS = ['publint', '@arethetypeswrong/cli']
  .map((name) => readFileSync(join(ROOT, 'node_modules', name, 'package.json'), 'utf8'))
  .join()
