/** Compares versions of Debian packages (Debian Policy, 5.6.12): negative where `a` is the older one. */
export function compareVersions(a: string, b: string): number {
  const [epochA, restA] = splitEpoch(a)
  const [epochB, restB] = splitEpoch(b)
  if (epochA !== epochB) return epochA - epochB
  const [upstreamA, revisionA] = splitRevision(restA)
  const [upstreamB, revisionB] = splitRevision(restB)
  return compareParts(upstreamA, upstreamB) || compareParts(revisionA, revisionB)
}

function splitEpoch(version: string): [epoch: number, rest: string] {
  const at = version.indexOf(':')
  return at < 0 ? [0, version] : [Number(version.slice(0, at)), version.slice(at + 1)]
}

function splitRevision(version: string): [upstream: string, revision: string] {
  const at = version.lastIndexOf('-')
  return at < 0 ? [version, ''] : [version.slice(0, at), version.slice(at + 1)]
}

/** What is no number and what is one take turns, beginning with the former. */
function compareParts(a: string, b: string): number {
  const partsA = a.split(/(\d+)/)
  const partsB = b.split(/(\d+)/)
  for (let at = 0; at < Math.max(partsA.length, partsB.length); at++) {
    const [partA = '', partB = ''] = [partsA[at], partsB[at]]
    const order = at % 2 === 0 ? compareText(partA, partB) : Number(partA) - Number(partB)
    if (order !== 0) return order
  }
  return 0
}

/** A tilde sorts before the end, the end before letters, letters before everything else. */
function compareText(a: string, b: string): number {
  for (let at = 0; at < Math.max(a.length, b.length); at++) {
    const order = weightOf(a[at]) - weightOf(b[at])
    if (order !== 0) return order
  }
  return 0
}

function weightOf(letter: string | undefined): number {
  if (letter === undefined) return 0
  if (letter === '~') return -1
  const code = letter.codePointAt(0)!
  return /[A-Za-z]/.test(letter) ? code : code + 256
}
