// A machine that sleeps until somebody rings, and a timer of the same thread that rings three times.
import { DoorbellSet, MonotonicClock, ThreadEngine } from '@guestyard/engine'
import type { Machine } from '@guestyard/engine'
import { Doorbell } from '@guestyard/ring'

const bell = Doorbell.create() // in another thread: new Doorbell(buffer)
let parcels = 0

const machine: Machine = {
  poll(budget) {
    const taken = Math.min(parcels, budget)
    parcels -= taken
    if (taken > 0) console.log(`took ${taken}`)
    return taken
  },
  arm: () => parcels > 0,
  disarm() {},
  nextDeadlineMs: () => Infinity, // nothing of it is due at a time of its own
}

const engine = new ThreadEngine({
  machine,
  doorbells: new DoorbellSet({ stoppedBy: bell }),
  clock: new MonotonicClock(),
  strategy: 'event-loop',
})

// The timer keeps the event loop alive while the engine sleeps; in a worker the parent's port would.
let deliveries = 0
const timer = setInterval(() => {
  deliveries++
  parcels += deliveries
  bell.ring() // work first, then the bell
  if (deliveries === 3) {
    clearInterval(timer)
    setTimeout(() => bell.stop(), 20)
  }
}, 5)

const reason = await engine.run()
console.log(`${reason} after ${engine.stats.turns} turns`)
// prints: doorbell-stopped after 3 turns
