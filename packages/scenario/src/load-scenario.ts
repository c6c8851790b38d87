/** Reads a scenario file: imports it, and checks what it exports. */

import { spawnSync } from 'node:child_process'
import { statSync } from 'node:fs'
import { resolve } from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'

import { InputError } from './input-error.ts'
import { planScenario } from './plan.ts'
import type { ScenarioPlan } from './plan.ts'
import { show } from './quantity.ts'
import type { Scenario } from './scenario.ts'

const SCENARIO_FILE = /\.[cm]?[jt]s$/
const CHECK_TIMEOUT_MS = 5000

/**
 * The plan of the scenario in a file (TypeScript or JavaScript, default export). Throws `InputError`
 * with one line that names the file and the field; starts nothing. `moduleUrl`: what is imported for the file, which is the file's
 * own URL when it is left out.
 */
export async function loadScenario(
  path: string,
  options: { readonly moduleUrl?: (fileUrl: string) => string } = {},
): Promise<ScenarioPlan> {
  const file = resolve(path)
  const status = statSync(file, { throwIfNoEntry: false })
  if (status === undefined) throw new InputError(path, 'no such file')
  if (!status.isFile()) throw new InputError(path, 'is not a file')
  if (!SCENARIO_FILE.test(file)) {
    throw new InputError(path, 'is not a scenario file: expected .ts, .mts, .js or .mjs')
  }
  const fileUrl = pathToFileURL(file).href
  const module = await importScenario(path, fileUrl, options.moduleUrl?.(fileUrl) ?? fileUrl)
  if (!('default' in module)) {
    throw new InputError(path, 'has no default export: write export default defineScenario({ … })')
  }
  const scenario = module['default']
  if (typeof scenario !== 'object' || scenario === null) {
    throw new InputError(
      path,
      `its default export is ${show(scenario)}, expected defineScenario({ … })`,
    )
  }
  // The plan's own checks decide whether it is one.
  return planScenario(scenario as Scenario, { where: path, fileUrl })
}

async function importScenario(
  path: string,
  fileUrl: string,
  moduleUrl: string,
): Promise<Record<string, unknown>> {
  try {
    return (await orIdle(import(moduleUrl))) as Record<string, unknown>
  } catch (error) {
    const what = error instanceof Error ? `${error.name}: ${error.message}` : String(error)
    const place = error instanceof SyntaxError ? syntaxErrorPlace(error, fileUrl) : undefined
    throw new InputError(
      path,
      `cannot be loaded: ${what}${place === undefined ? '' : ` (${place})`}`,
    )
  }
}

/** A module that waits at its top for what never comes leaves the process nothing to do: that is told, not waited for. */
async function orIdle<T>(loading: Promise<T>): Promise<T> {
  const { promise, reject } = Promise.withResolvers<never>()
  const onIdle = (): void => reject(new Error('what it awaits at its top level never comes'))
  process.once('beforeExit', onIdle)
  try {
    return await Promise.race([loading, promise])
  } finally {
    process.off('beforeExit', onIdle)
  }
}

/**
 * `file:line` of a syntax error in the scenario or in what it imports. Node puts it on the stack's first
 * line, except for JavaScript that does not parse: checking the file once more, by itself, tells it.
 * TypeScript is not checked so: Node would take its types for the error.
 */
function syntaxErrorPlace(error: SyntaxError, fileUrl: string): string | undefined {
  const place = placeOnFirstLine(error.stack ?? '')
  if (place !== undefined || /\.[cm]?ts$/.test(fileUrl)) return place
  const check = spawnSync(process.execPath, ['--check', fileURLToPath(fileUrl)], {
    encoding: 'utf8',
    timeout: CHECK_TIMEOUT_MS,
  })
  return placeOnFirstLine(check.stderr)
}

function placeOnFirstLine(text: string): string | undefined {
  const [, file, line] = /^(.*\.[cm]?[jt]s):(\d+)(?:\r?\n|$)/.exec(text) ?? []
  return file === undefined ? undefined : `${file.replace(/^.*[\\/]/, '')}:${line}`
}
