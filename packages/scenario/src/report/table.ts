/** Columns of text, aligned: the first to the left, the others (figures) to the right. */
export function alignTable(
  header: readonly string[],
  rows: readonly (readonly string[])[],
): string[] {
  const widths = header.map((title, column) =>
    Math.max(width(title), ...rows.map((row) => width(row[column] ?? ''))),
  )
  const format = (row: readonly string[]): string =>
    widths
      .map((size, column) => pad(row[column] ?? '', size, column > 0))
      .join('  ')
      .trimEnd()
  return [format(header), widths.map((size) => '─'.repeat(size)).join('  '), ...rows.map(format)]
}

function pad(text: string, size: number, right: boolean): string {
  const space = ' '.repeat(Math.max(0, size - width(text)))
  return right ? space + text : text + space
}

/** Characters, not UTF-16 units: the signs used in figures are all one column wide. */
function width(text: string): number {
  return [...text].length
}
