// What is in the workspace, and the programs that its scripts start.
import { existsSync, globSync, readFileSync } from 'node:fs'
import { delimiter, join } from 'node:path'
import { fileURLToPath } from 'node:url'

/** The checkout, with no slash at its end. */
export const ROOT: string = fileURLToPath(new URL('../..', import.meta.url)).replace(/\/$/, '')

/** Results that stay true until their input changes: node_modules/.cache is nobody's to commit. */
export const CACHE: string = join(ROOT, 'node_modules/.cache/guestyard')

export interface WorkspacePackage {
  /** As in package.json, `@guestyard/ring`. */
  readonly name: string
  /** Absolute. */
  readonly directory: string
}

/** The packages under packages/, by name. */
export function workspacePackages(): readonly WorkspacePackage[] {
  return globSync('packages/*/package.json', { cwd: ROOT })
    .toSorted()
    .map((path) => ({
      name: readManifest(join(ROOT, path)).name,
      directory: join(ROOT, path, '..'),
    }))
}

/** A README example: the package's examples/quickstart.ts. */
export interface Example {
  readonly package: WorkspacePackage
  /** Absolute path of quickstart.ts. */
  readonly path: string
  readonly source: string
  /** What a last line `// prints: …` promises as the last line of its output. */
  readonly prints: string | undefined
}

/** The example of each package that has one. */
export function readmeExamples(): readonly Example[] {
  return workspacePackages().flatMap((owner) => {
    const path = join(owner.directory, 'examples/quickstart.ts')
    if (!existsSync(path)) return []
    const source = readFileSync(path, 'utf8')
    const prints = /^\/\/ prints: (.+)$/.exec(source.trimEnd().split('\n').at(-1) ?? '')?.[1]
    return [{ package: owner, path, source, prints }]
  })
}

/** Says how an example's output falls short of what it promises; undefined if it does not. */
export function brokenPromise(example: Example, stdout: string): string | undefined {
  const last = stdout.trimEnd().split('\n').at(-1) ?? ''
  if (last === '') return 'it prints nothing'
  if (example.prints === undefined || example.prints === last) return undefined
  return `it says it prints "${example.prints}" and prints "${last}"`
}

/** `npx` and its arguments for the pnpm that package.json pins. */
export function pinnedPnpm(...args: string[]): readonly [command: string, args: string[]] {
  const { packageManager } = readManifest(join(ROOT, 'package.json'))
  if (packageManager === undefined) throw new Error('package.json names no packageManager')
  return ['npx', ['-y', packageManager, ...args]]
}

/** This process's environment with the workspace's programs, the pinned Node among them, first. */
export function workspaceEnvironment(): NodeJS.ProcessEnv {
  const path = [join(ROOT, 'node_modules/.bin'), process.env['PATH']].join(delimiter)
  return { ...process.env, PATH: path }
}

/** What these scripts read of a package.json. */
export interface Manifest {
  readonly name: string
  readonly packageManager?: string
  readonly exports?: Readonly<Record<string, string>>
  readonly publishConfig?: { readonly exports?: Readonly<Record<string, unknown>> }
  readonly [field: string]: unknown
}

export function readManifest(path: string): Manifest {
  return JSON.parse(readFileSync(path, 'utf8'))
}
