/** Places in a scenario file, read from stacks. */

/** Where a stack passes through a file: `two-guests.ts:31`, its innermost frame there. */
export function placeIn(fileUrl: string, stack: string): string | undefined {
  // A message may hold anything, the file's name included: only frames count.
  const frame = stack.split('\n').find((line) => /^\s+at /.test(line) && line.includes(fileUrl))
  const line = frame === undefined ? undefined : /:(\d+):\d+\)?$/.exec(frame)?.[1]
  return line === undefined ? undefined : `${fileNameOf(fileUrl)}:${line}`
}

function fileNameOf(fileUrl: string): string {
  return fileUrl.slice(fileUrl.lastIndexOf('/') + 1).replace(/\?.*/, '')
}
