import type { VirtualActor, VirtualEnd } from '@guestyard/engine/virtual'

import { formatNs } from '../quantity.ts'
import type { VirtualWorld } from './virtual-world.ts'

/** One line: why the engine ended by itself, what the scenario waits for, and what everybody is at. */
export function describeQuiet(end: Exclude<VirtualEnd, 'stopped'>, world: VirtualWorld): string {
  const waiting = world.waiting.map(({ what, sinceNs }) => `${what} (since ${formatNs(sinceNs)})`)
  const waits = waiting.length === 0 ? 'something of its own' : waiting.join(', ')
  const actors = world.engine.actors.map(describeActor).join(', ')
  return `${reasonOf(end)} at ${formatNs(world.clock.nowNs)}: the scenario waits for ${waits}; ${actors}`
}

function reasonOf(end: Exclude<VirtualEnd, 'stopped'>): string {
  switch (end) {
    case 'quiet':
      return 'deadlock: nothing can ever run again'
    case 'time-limit':
      return 'the limit of virtual time is reached'
    case 'turn-limit':
      return 'the limit of turns is reached'
  }
}

function describeActor(actor: VirtualActor): string {
  if (actor.kind !== 'vp') return `${actor.name} is ${actor.state}`
  const processor = actor.mayRun() ? '' : ', without a logical processor'
  return `${actor.name} is ${actor.state}${processor}`
}
