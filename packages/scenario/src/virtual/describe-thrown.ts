import { placeIn } from '../place.ts'

/** Characters that are kept of what somebody threw. */
const TEXT_MAX = 4_096
const PATH = /(?:file:\/\/)?(?:[A-Za-z]:)?(?:[\\/][^\s'"`():\\/]+)+/g

/** What was thrown, and where in the file: one line, total, bounded, and without the paths of this machine. */
export function describeThrown(thrown: unknown, fileUrl: string | null): string {
  try {
    if (!(thrown instanceof Error)) return bounded(String(thrown))
    const { name, message, stack } = thrown as { name: unknown; message: unknown; stack?: unknown }
    const text = `${String(name)}: ${withoutPaths(String(message))}`
    const place =
      fileUrl === null || typeof stack !== 'string' ? undefined : placeIn(fileUrl, stack)
    return bounded(place === undefined ? text : `${text} (${place})`)
  } catch {
    // An object may make its conversion to a string fail; that is all there is to say of it.
    return 'a value that can’t be shown'
  }
}

/** Every path as its last part: where the files lie is the machine's own business. */
export function withoutPaths(text: string): string {
  return text.replaceAll(PATH, (path) => path.replace(/^.*[\\/]/, ''))
}

function bounded(text: string): string {
  return text.length <= TEXT_MAX ? text : `${text.slice(0, TEXT_MAX)} …`
}
