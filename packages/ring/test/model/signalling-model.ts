// A small-step model of both ends of one ring: every access to a shared word is a step of its own,
// so that exploring all orders of steps explores all interleavings of two threads. The steps are
// those of the ring kernel and of a user who sleeps as the README says.
//
// Sizes are units, indices count units and never wrap: the model is about signals, the arithmetic
// has tests of its own.

/** Mistakes the model can be told to make: each of them must be found. */
export type Mistake =
  | 'none'
  | 'mask read before in is stored'
  | 'emptiness judged by an old out'
  | 'no look after unmask'
  | 'sleeping with space held back'
  | 'pending size read before out is stored'
  | 'no look after asking for space'
  | 'level instead of edge'
  | 'signal whenever unmasked'
  | 'bell sampled after looking'
  | 'in judged by the out before'
  | 'out judged by the in before'

export interface ModelOptions {
  /** Units the ring holds at most. */
  readonly capacity: number
  /** Size of each packet, in units, in sending order. */
  readonly packets: readonly number[]
  readonly mistake: Mistake
}

/**
 * Shared words, then each thread's own: plain numbers, so that a state is easily copied and
 * compared.
 */
export interface State {
  /** Shared. */
  in: number
  out: number
  mask: number
  pending: number
  /** Doorbells: rings since the sleeper last sampled. */
  receiverBell: number
  senderBell: number
  /** Sender: where it is, packets written, its indices, and what it read. */
  sender: string
  written: number
  next: number
  published: number
  cachedOut: number
  sawMask: number
  old: number
  /** Receiver. */
  receiver: string
  taken: number
  freed: number
  previous: number
  sawPending: number
  /**
   * For the checks: whether the last store happened while the other side slept, and signals decided
   * on after such stores.
   */
  storedInSleep: number
  sleepSignals: number
  freedInSleep: number
  blockSignals: number
}

function initialState(): State {
  return {
    in: 0,
    out: 0,
    mask: 1,
    pending: 0,
    receiverBell: 0,
    senderBell: 0,
    sender: 'write',
    written: 0,
    next: 0,
    published: 0,
    cachedOut: 0,
    sawMask: 0,
    old: 0,
    receiver: 'sample',
    taken: 0,
    freed: 0,
    previous: 0,
    sawPending: 0,
    storedInSleep: 0,
    sleepSignals: 0,
    freedInSleep: 0,
    blockSignals: 0,
  }
}

type Change = Partial<State>

/** All states that one step of either thread leads to. */
function nextStates(state: State, options: ModelOptions): State[] {
  const changes = [...senderSteps(state, options), ...receiverSteps(state, options)]
  return changes.map((change) => ({ ...state, ...change }))
}

function senderSteps(s: State, o: ModelOptions): Change[] {
  const wanted = o.packets[s.written]
  const publish: Change = {
    sender: o.mistake === 'mask read before in is stored' ? 'mask' : 'store in',
  }
  switch (s.sender) {
    case 'write': {
      // Free to publish after any number of written packets, or when there is nothing more to
      // write.
      const steps: Change[] = s.next === s.published ? [] : [publish]
      if (wanted === undefined) return s.next === s.published ? [{ sender: 'done' }] : steps
      if (s.next - s.cachedOut + wanted <= o.capacity) {
        steps.push({ next: s.next + wanted, written: s.written + 1 })
      } else {
        steps.push({ sender: 'look at out' })
      }
      return steps
    }
    case 'look at out': {
      const fits = s.next - s.out + wanted! <= o.capacity
      if (fits) return [{ cachedOut: s.out, sender: 'write' }]
      // What is written is published before waiting for space.
      if (s.next !== s.published) return [{ cachedOut: s.out, ...publish }]
      return [{ cachedOut: s.out, sender: 'sample' }]
    }
    case 'store in':
      return [
        {
          in: s.next,
          old: s.published,
          published: s.next,
          storedInSleep: s.receiver === 'sleep' ? 1 : 0,
          sender: o.mistake === 'mask read before in is stored' ? 'judge' : 'mask',
        },
      ]
    case 'mask':
      return [
        {
          sawMask: s.mask,
          sender: o.mistake === 'mask read before in is stored' ? 'store in' : 'judge',
        },
      ]
    case 'judge': {
      if (s.sawMask !== 0) return [{ sender: 'write' }]
      const out = o.mistake === 'emptiness judged by an old out' ? s.cachedOut : s.out
      const allowed = o.mistake === 'out judged by the in before' ? s.old : s.published
      if (out > allowed) return [{ sender: 'fault' }]
      const signal = o.mistake === 'signal whenever unmasked' || out === s.old
      const cachedOut = Math.max(out, s.cachedOut)
      if (!signal) return [{ cachedOut, sender: 'write' }]
      return [{ cachedOut, sleepSignals: s.sleepSignals + s.storedInSleep, sender: 'ring' }]
    }
    case 'ring':
      return [{ receiverBell: 1, sender: 'write' }]
    case 'sample':
      return [{ senderBell: 0, sender: 'ask' }]
    case 'ask':
      return [
        {
          pending: wanted!,
          sender: o.mistake === 'no look after asking for space' ? 'sleep' : 'look again',
        },
      ]
    case 'look again': {
      const fits = s.next - s.out + wanted! <= o.capacity
      return [{ cachedOut: s.out, sender: fits ? 'unask' : 'sleep' }]
    }
    case 'sleep':
      return s.senderBell === 0 ? [] : [{ sender: 'unask', freedInSleep: 0, blockSignals: 0 }]
    case 'unask':
      return [{ pending: 0, sender: 'write' }]
    default:
      return []
  }
}

function receiverSteps(s: State, o: ModelOptions): Change[] {
  const sampleLate = o.mistake === 'bell sampled after looking'
  switch (s.receiver) {
    case 'sample':
      return [sampleLate ? { receiver: 'drain' } : { receiverBell: 0, receiver: 'drain' }]
    case 'drain': {
      const there = s.in - s.taken
      if (there === 0) {
        const held = s.taken !== s.freed && o.mistake !== 'sleeping with space held back'
        return [{ receiver: held ? 'free' : 'unmask' }]
      }
      // Any amount may be taken, and given back at once or later.
      const steps: Change[] = []
      for (const taken of cuts(s, o)) {
        steps.push({ taken, receiver: 'drain' }, { taken, receiver: 'free' })
      }
      return steps
    }
    case 'free':
      if (o.mistake === 'pending size read before out is stored' && s.sawPending === 0) {
        return [{ sawPending: s.pending + 1, receiver: 'free' }]
      }
      return [
        {
          out: s.taken,
          previous: s.freed,
          freed: s.taken,
          freedInSleep: s.sender === 'sleep' ? 1 : 0,
          receiver: 'read pending',
        },
      ]
    case 'read pending': {
      const early = o.mistake === 'pending size read before out is stored'
      const pending = early ? s.sawPending - 1 : s.pending
      if (pending === 0) return [{ sawPending: 0, receiver: 'sample' }]
      return [{ sawPending: pending, receiver: 'judge space' }]
    }
    case 'judge space': {
      const given = o.mistake === 'in judged by the out before' ? s.previous : s.freed
      if (s.in - given > o.capacity) return [{ receiver: 'fault' }]
      const before = o.capacity - (s.in - s.previous)
      const after = o.capacity - (s.in - s.freed)
      const enough = after >= s.sawPending
      const signal = enough && (o.mistake === 'level instead of edge' || before < s.sawPending)
      if (!signal) return [{ sawPending: 0, receiver: 'sample' }]
      return [{ sawPending: 0, blockSignals: s.blockSignals + s.freedInSleep, receiver: 'ring' }]
    }
    case 'ring':
      return [{ senderBell: 1, receiver: 'sample' }]
    case 'unmask':
      return [
        {
          mask: 0,
          receiver: o.mistake === 'no look after unmask' ? 'sleep' : 'look again',
        },
      ]
    case 'look again':
      if (s.in !== s.taken) return [{ receiver: 'remask' }]
      return [{ receiver: sampleLate ? 'late sample' : 'sleep' }]
    case 'late sample':
      return [{ receiverBell: 0, receiver: 'sleep' }]
    case 'sleep':
      return s.receiverBell === 0 ? [] : [{ receiver: 'remask', storedInSleep: 0, sleepSignals: 0 }]
    case 'remask':
      return [{ mask: 1, receiver: 'sample' }]
    default:
      return []
  }
}

/** Packet ends beyond what was taken and within what is there. */
function cuts(s: State, o: ModelOptions): number[] {
  const ends: number[] = []
  let end = 0
  for (const size of o.packets) {
    end += size
    if (end > s.taken && end <= s.in) ends.push(end)
  }
  return ends
}

export interface Exploration {
  readonly states: number
  /** What went wrong, with the steps that lead there; empty when nothing did. */
  readonly failure: string
}

/** Explores every interleaving, and checks each state. */
export function explore(options: ModelOptions): Exploration {
  const first = initialState()
  const all: State[] = [first]
  const parents: number[][] = [[]]
  const indices = new Map<string, number>([[keyOf(first), 0]])
  const finals: number[] = []
  for (let at = 0; at < all.length; at += 1) {
    const state = all[at]!
    const wrong = violation(state, options)
    const next = nextStates(state, options)
    if (wrong !== '') return { states: all.length, failure: wrong }
    if (next.length === 0) {
      if (!isFinished(state, options)) {
        return { states: all.length, failure: `asleep for ever: ${describe(state)}` }
      }
      finals.push(at)
    }
    for (const follower of next) {
      const key = keyOf(follower)
      const known = indices.get(key)
      if (known !== undefined) {
        parents[known]!.push(at)
        continue
      }
      indices.set(key, all.length)
      all.push(follower)
      parents.push([at])
    }
  }
  const stuck = unreached(parents, finals)
  const failure = stuck === -1 ? '' : `never finishes from: ${describe(all[stuck]!)}`
  return { states: all.length, failure }
}

/** A state from which no final state can be reached, or -1. */
function unreached(parents: readonly number[][], finals: readonly number[]): number {
  const reached = new Uint8Array(parents.length)
  const queue = [...finals]
  for (const final of finals) reached[final] = 1
  for (let at = queue.pop(); at !== undefined; at = queue.pop()) {
    for (const parent of parents[at]!) {
      if (reached[parent] === 1) continue
      reached[parent] = 1
      queue.push(parent)
    }
  }
  return reached.indexOf(0)
}

function isFinished(state: State, options: ModelOptions): boolean {
  const total = options.packets.reduce((sum, size) => sum + size, 0)
  return state.sender === 'done' && state.receiver === 'sleep' && state.taken === total
}

/** What must hold in every state; a full sentence when it does not. */
function violation(state: State, options: ModelOptions): string {
  if (state.in - state.out > options.capacity) return `overrun: ${describe(state)}`
  if (state.sender === 'fault' || state.receiver === 'fault') {
    return `a fault nobody caused: ${describe(state)}`
  }
  if (state.sleepSignals > 1) return `two signals to one sleeping receiver: ${describe(state)}`
  if (state.blockSignals > 1) return `two signals to one sleeping sender: ${describe(state)}`
  return ''
}

function keyOf(state: State): string {
  return Object.values(state).join()
}

function describe(state: State): string {
  return JSON.stringify(state)
}
