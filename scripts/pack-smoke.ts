// Shows that what we would publish works: packs every package, installs the tarballs into an empty project outside the
// checkout, and runs each package's README example there, as JavaScript, on each line of Node that we name.
import {
  cpSync,
  existsSync,
  globSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs'
import { stripTypeScriptTypes } from 'node:module'
import { tmpdir } from 'node:os'
import { basename, dirname, join } from 'node:path'
import { parseArgs } from 'node:util'

import { buildAfresh, lintTarballs, packAll } from './house/pack.ts'
import { type Finished, inParallel, run, stopRunning } from './house/run.ts'
import {
  brokenPromise,
  CACHE,
  type Example,
  readmeExamples,
  workspacePackages,
} from './house/workspace.ts'

/** The oldest Node that the packages' `engines` admit, a 24, and the one we develop on. */
const NODE_VERSIONS = ['22.13.0', '24.21.0', '26.10.0']
const RUN_TIMEOUT_MS = 60_000

const usage = `npx node scripts/pack-smoke.ts [--node VERSION,…] [--only PACKAGE,…] [--json] [--keep]

  --node   Node versions to run the examples on (${NODE_VERSIONS.join(',')})
  --only   run the examples of these packages alone, by name or by @guestyard/ name
  --json   print the outcome as JSON on stdout; progress goes to stderr
  --keep   leave the project that the tarballs were installed into, and say where it is

Takes a minute or two. Exit code 1 when anything fails.`

interface Outcome {
  /** The package whose example it is, or the command. */
  readonly subject: string
  readonly node: string
  readonly ok: boolean
  readonly milliseconds: number
  /** What is wrong, with the example's output; absent when nothing is. */
  readonly wrong?: string
}

interface Request {
  readonly versions: readonly string[]
  readonly examples: readonly Example[]
  readonly json: boolean
  readonly keep: boolean
}

const request = readCommandLine(process.argv.slice(2))
if (typeof request === 'string') {
  console.error(request)
  process.exitCode = 2
} else if (request !== undefined) {
  const project = mkdtempSync(join(tmpdir(), 'guestyard-smoke-'))
  for (const signal of ['SIGINT', 'SIGTERM']) process.once(signal, () => leave(project))
  try {
    process.exitCode = (await smoke(request, project)) ? 0 : 1
  } catch (error) {
    console.error(error instanceof Error ? error.message : error)
    process.exitCode = 1
  } finally {
    if (request.keep) console.error(`the project is ${project}`)
    else rmSync(project, { recursive: true, force: true })
  }
}

/** Interrupted: nothing stays behind. */
function leave(project: string): never {
  stopRunning()
  rmSync(project, { recursive: true, force: true, maxRetries: 5 })
  process.exit(130)
}

/** What is asked for; undefined for --help; a line that says what is wrong. */
function readCommandLine(args: string[]): Request | string | undefined {
  try {
    const { values } = parseArgs({
      args,
      options: {
        node: { type: 'string' },
        only: { type: 'string' },
        json: { type: 'boolean', default: false },
        keep: { type: 'boolean', default: false },
        help: { type: 'boolean', short: 'h' },
      },
    })
    if (values.help) {
      console.log(usage)
      return undefined
    }
    const versions = values.node?.split(',') ?? NODE_VERSIONS
    const wrong = versions.find((version) => !/^\d+\.\d+\.\d+$/.test(version))
    if (wrong !== undefined) return `--node: "${wrong}" is no version such as ${NODE_VERSIONS[0]}`

    const all = readmeExamples()
    const only = values.only
      ?.split(',')
      .map((name) => `@guestyard/${name.replace('@guestyard/', '')}`)
    const stray = only?.find((name) => !all.some((example) => example.package.name === name))
    if (stray !== undefined) return `--only: ${stray} has no examples/quickstart.ts`
    const examples = all.filter((example) => only?.includes(example.package.name) ?? true)
    return { versions, examples, json: values.json, keep: values.keep }
  } catch (error) {
    return error instanceof Error ? error.message : String(error)
  }
}

async function smoke(asked: Request, project: string): Promise<boolean> {
  const started = performance.now()
  const say = (line: string): void =>
    console.error(`${((performance.now() - started) / 1000).toFixed(1).padStart(6)} s  ${line}`)

  say(`building and packing ${workspacePackages().length} packages`)
  const problem = await buildAfresh()
  if (problem !== undefined) throw new Error(problem)
  const tarballs = await packAll(join(project, 'tarballs'))
  if (typeof tarballs === 'string') throw new Error(tarballs)
  const complaints = await lintTarballs(tarballs)
  if (complaints.length > 0) throw new Error(complaints.join('\n'))

  say('installing the tarballs into an empty project')
  await installTarballs(project, tarballs)
  for (const example of asked.examples) writeExample(project, example)

  say(`fetching Node ${asked.versions.join(', ')}`)
  const runtimes = await inParallel(asked.versions, 2, (version) => fetchNode(version, project))

  const outcomes: Outcome[] = []
  for (const [index, version] of asked.versions.entries()) {
    const node = runtimes[index]!
    const attempts = [
      () => runCommand(project, version, node),
      ...asked.examples.map((example) => () => runExample(project, example, version, node)),
    ]
    for (const attempt of attempts) {
      const outcome = await attempt()
      outcomes.push(outcome)
      const heading = `Node ${version}  ${outcome.subject}  ${outcome.milliseconds} ms`
      say(outcome.wrong === undefined ? `✓ ${heading}` : `✗ ${heading}\n${outcome.wrong}`)
    }
  }
  const failed = outcomes.filter(({ ok }) => !ok).length
  say(`${outcomes.length - failed} of ${outcomes.length} runs went as they promise`)
  if (asked.json) console.log(JSON.stringify({ ok: failed === 0, outcomes }, null, 2))
  return failed === 0
}

/** npm takes a package from its tarball where its version satisfies the range that another tarball asks for. */
async function installTarballs(project: string, tarballs: readonly string[]): Promise<void> {
  const names = workspacePackages().map(({ name }) => name)
  const dependencies = Object.fromEntries(
    names.map((name) => {
      const stem = name.replace('@', '').replace('/', '-')
      const tarball = tarballs.find((path) => basename(path).replace(/-\d.*$/, '') === stem)
      if (tarball === undefined) throw new Error(`${name} left no tarball`)
      return [name, `file:tarballs/${basename(tarball)}`]
    }),
  )
  const manifest = { name: 'smoke', private: true, type: 'module', dependencies }
  writeFileSync(join(project, 'package.json'), JSON.stringify(manifest, null, 2))
  const installed = await run('npm', ['install', '--no-audit', '--no-fund'], { cwd: project })
  if (!installed.ok) throw new Error(`${installed.output}${installed.reason}`)
}

/** The package's examples as a user of the published package would write them in JavaScript. */
function writeExample(project: string, example: Example): void {
  const from = dirname(example.path)
  const to = exampleDirectory(project, example)
  mkdirSync(to, { recursive: true })
  for (const file of globSync('**/*.ts', { cwd: from })) {
    const source = stripTypeScriptTypes(readFileSync(join(from, file), 'utf8'))
    const target = join(to, file.replace(/\.ts$/, '.js'))
    mkdirSync(dirname(target), { recursive: true })
    writeFileSync(target, source.replaceAll(/(['"]\.{1,2}\/[^'"\n]*)\.ts(['"])/g, '$1.js$2'))
  }
  const other = globSync('**/*', { cwd: from, withFileTypes: true, exclude: ['**/*.ts'] })
  for (const entry of other.filter((found) => found.isFile())) {
    const path = join(entry.parentPath, entry.name)
    cpSync(path, join(to, path.slice(from.length + 1)))
  }
}

function exampleDirectory(project: string, example: Example): string {
  return join(project, 'examples', basename(example.package.directory))
}

/** The path of that Node, from the npm registry; kept for the next time. */
async function fetchNode(version: string, project: string): Promise<string> {
  const name = `node-${process.platform}-${process.arch}`
  const home = join(CACHE, 'node', version)
  const node = join(home, 'node_modules', name, 'bin', 'node')
  if (existsSync(node)) return node

  const fresh = mkdtempSync(join(project, 'node-'))
  writeFileSync(join(fresh, 'package.json'), JSON.stringify({ name: 'runtime', private: true }))
  const installed = await run('npm', ['install', '--no-audit', '--no-fund', `${name}@${version}`], {
    cwd: fresh,
  })
  if (!installed.ok) throw new Error(`Node ${version}: ${installed.output}${installed.reason}`)
  mkdirSync(dirname(home), { recursive: true })
  cpSync(fresh, home, { recursive: true })
  rmSync(fresh, { recursive: true })
  return node
}

async function runExample(
  project: string,
  example: Example,
  version: string,
  node: string,
): Promise<Outcome> {
  const cwd = exampleDirectory(project, example)
  return judge(
    example.package.name,
    version,
    run(node, ['quickstart.js'], { cwd, timeoutMs: RUN_TIMEOUT_MS }),
    (stdout) => brokenPromise(example, stdout),
  )
}

/** The command that the installed cli brings, which starts on the Node that runs it. */
async function runCommand(project: string, version: string, node: string): Promise<Outcome> {
  const path = join(project, 'node_modules/@guestyard/cli/bin/guestyard.js')
  const running = run(node, [path, '--help'], { cwd: project, timeoutMs: RUN_TIMEOUT_MS })
  return judge('guestyard --help', version, running, (stdout) =>
    stdout === '' ? 'it prints nothing' : undefined,
  )
}

async function judge(
  subject: string,
  node: string,
  running: Promise<Finished>,
  complaint: (stdout: string) => string | undefined,
): Promise<Outcome> {
  const started = performance.now()
  const finished = await running
  const milliseconds = Math.round(performance.now() - started)
  const wrong = finished.ok ? complaint(finished.stdout) : finished.reason
  if (wrong === undefined) return { subject, node, ok: true, milliseconds }
  return { subject, node, ok: false, milliseconds, wrong: `${finished.output}${wrong}` }
}
