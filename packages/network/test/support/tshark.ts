import { spawnSync } from 'node:child_process'

/** Undefined when it is there; else why tests that need it are skipped. */
export const noTshark: string | undefined =
  spawnSync('tshark', ['--version']).error === undefined
    ? undefined
    : 'tshark is not installed (tshark)'
if (noTshark !== undefined) console.warn(`skipped: ${noTshark}`)

/** A capture's fields, a line each packet, with tabs between; `settings` as `-o` takes them. Throws with what it said when it failed. */
export function tshark(
  path: string,
  fields: readonly string[],
  settings: readonly string[] = [],
): string {
  const options = settings.flatMap((setting) => ['-o', setting])
  const wanted = fields.flatMap((field) => ['-e', field])
  const args = ['-r', path, ...options, '-T', 'fields', ...wanted]
  const { status, stdout, stderr } = spawnSync('tshark', args, { encoding: 'utf8' })
  if (status !== 0) throw new Error(`tshark: ${stdout}${stderr}`)
  return stdout
}
