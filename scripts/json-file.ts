import { writeFileSync } from 'node:fs'
import process from 'node:process'

/** Writes figures as JSON: to a file, or to standard output for `-`. */
export function writeJson(path: string, record: unknown): void {
  const text = `${JSON.stringify(record, null, 2)}\n`
  if (path === '-') process.stdout.write(text)
  else writeFileSync(path, text)
}

/** Where tables go: not into the JSON of a pipe. */
export function tableStream(json: string | null): NodeJS.WriteStream {
  return json === '-' ? process.stderr : process.stdout
}
