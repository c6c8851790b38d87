/** Text into HTML and SVG: everything is escaped unless it is markup made here. */

const SPECIAL = /[&<>"']/g
const ENTITIES: Readonly<Record<string, string>> = {
  '&': '&amp;',
  '<': '&lt;',
  '>': '&gt;',
  '"': '&quot;',
  "'": '&#39;',
}

/** Markup, as opposed to text that has yet to be escaped. */
export interface Markup {
  readonly markup: string
}

type Part = Markup | string | number | readonly Part[] | null

/** Template tag: what is put in is escaped, other markup is kept, lists are joined, `null` is nothing. */
export function html(texts: TemplateStringsArray, ...parts: readonly Part[]): Markup {
  let markup = texts[0] ?? ''
  for (const [index, part] of parts.entries()) markup += render(part) + (texts[index + 1] ?? '')
  return { markup }
}

/** Text that may stand in an element or an attribute. */
function escapeText(text: string): string {
  return text.replaceAll(SPECIAL, (character) => ENTITIES[character] ?? character)
}

/** A coordinate: a tenth of a pixel is enough for any screen. */
export function px(value: number): string {
  return String(Math.round(value * 10) / 10)
}

function render(part: Part): string {
  if (part === null) return ''
  if (typeof part === 'string') return escapeText(part)
  if (typeof part === 'number') return String(part)
  if (isList(part)) return part.map(render).join('')
  return part.markup
}

function isList(part: Markup | readonly Part[]): part is readonly Part[] {
  return Array.isArray(part)
}
